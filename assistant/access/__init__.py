"""Who may come in, from where, and until when.

Inside, a file imports only from those before it:
visitor, tokens, passwords, database, users, sessions, links, keys, sharing, store, throttle,
doorkeeper, commands, ways, addresses, proxy, asked, door, origins, paths, frames, ledger, cookies,
admission, bodies, handing, headers, sockets, serving, admit, signin_page, forms, refusals, signin,
account, gate, oidc_settings, oidc_provider, oidc, configured.

One file, `access.db` in the assistant's home, holds all of it: the command line, the process that
shares and the running app each open it, and what one writes the others see at their next look.
"""

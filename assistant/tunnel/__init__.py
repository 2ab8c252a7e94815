"""A public address for the running app, for as long as one command stays.

Inside, a file imports only from those before it:
leash, child, logs, release, cloudflared, tunnel, application, qr, watch, announcer, stay, share.

`leash` stands alone: it is run by its path, in a Python without our packages.
"""

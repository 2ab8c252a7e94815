"""Where code runs: a Python session per conversation, behind walls that have been tried.

Two halves share this folder. The jail: launch.py and what it stands on, probe.py, watchdog.py. The
session, in three places:

    the app         session.py, sessions.py, client.py, files.py, notebook.py, environment.py,
                    scratch.py
    the supervisor  start.py, supervisor.py, worker.py, kernel.py, zmtp.py, messages.py and below
    the jail        kernel_main.py: ipykernel, on sockets that it was handed

Both sides of the supervisor share channel.py, wire.py and settings.py. A file imports only from
those before it: tree, scratch, level, limits, settings, channel, plaintext, images, charts,
messages, wire, zmtp, place, kernel, worker, supervisor; and in the app: environment, client, files,
notebook, session, sessions, commands. Whatever comes out of a jail is hostile.
"""

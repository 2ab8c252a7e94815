"""Where code runs: a Python session per conversation, behind walls that have been tried.

Two sides share this folder. The jail's: launch, probe, watchdog. The session's, in three places:
the app (session.py), one supervisor process that it starts (supervisor.py, kernel.py), and what
runs inside the jail (kernel_main.py). Whatever comes out of a jail is hostile.
"""

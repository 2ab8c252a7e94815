"""`doctor --public`: knocks at the running app as strangers and visitors do, and says what came.

Inside, a file imports only from those before it: findings, knocks, doors, visit, machine, reach,
command.
"""

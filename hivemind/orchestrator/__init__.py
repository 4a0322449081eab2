"""What the leader does: it turns what is wanted into placed tasks, and everything it decides is a command first.

loop.py        the driver: acts while this node leads
term.py        one term of it: rounds, on news and on time
deps.py        what it is handed; raft_view.py, members.py: the Protocols
plans.py       which reconciler is due on which part of the state
agenda.py      what time alone makes due
cpu_reader.py  reading what replicas use, of apps that are scaled by it; cpu_use.py: what it comes to
pinger.py      asking doubted nodes over the peer channel
observer.py    what this leader has seen of each node
scheduler/     where each task goes

The reconcilers, pure functions `plan(state, …) -> commands`, each empty when it has nothing to change:
liveness.py    nodes that are lost, restarting, back, gone
alerts.py      more than a third lost at once: a pause
conditions.py  alerts of apps that fail, rollouts that failed, nodes that are lost
dependencies.py  apps that wait for others
lost.py        tasks of nodes that are not there
rollout.py     deployments: on, done, failed, back
autoscaling.py how many replicas an app has by their use
global_apps.py which nodes fit a global app
backups.py     backups of volumes that are due by a schedule
jobs.py        runs that are due by a schedule, and those to forget
runs.py        attempts for what is still to be done
hooks.py       what a deployment does when its hooks have ended (for rollout.py)
sets.py        which replicas an app shall have, of which revision; limits.py: how far they may change at once (both
               for the two that follow)
replicas.py    as many replicas as are wanted
rolling.py     outdated replicas are replaced, within limits
placement.py   tasks without a node
rebalancing.py running replicas that should be elsewhere; evenness_watch.py: when to look
voters.py      1, 3 or 5 voters
"""

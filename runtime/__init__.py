"""What happens on this node: its agent, its containers, their health, logs and published ports.

agent            drives everything below; follows the replica and the engine's events
task_machine     pure: what to do next for one task (`task_inputs` in, `task_effects` out)
restarts         pure: whether and when what ended is started again; task_probes: which probes of it run
operations       performs a machine's effects on the engine
reporter         status changes in batches, until the cluster has accepted them
health/          probes of running containers: commands, HTTP, TCP
volumes/         named volumes: what is mounted, and their data on any node
gateway          logs, stats and health of containers, on this node or another
network/         published ports; overlay/ between containers of all nodes; dns/ their names
vitals           load figures of this node
node_reporter    tells the cluster what this node finds of itself (its overlay, its ports)
engine/          what runs containers
"""

"""Published ports: every node takes connections for every app and passes them on to a replica, wherever it is.

routes      pure: from a State to what is published and where it is served
balancer    pure: which replica next
tcp_port    one listener
udp_port    one datagram port
dial        connections to a replica, here or on another node
pump        bytes both ways
mesh        the driver
"""

"""Published ports: every node takes connections for every app and passes them on to a replica, wherever it is.

routes          pure: from a State to what is published, how it is balanced and where it is served
route_table     pure: all routes, kept in step with the State
weights         pure: which part of the requests each endpoint gets
balancer        pure: which endpoint next (`circuit`: not those that fail)
proxy_protocol  pure: the header that tells an endpoint who its client is
permission      pure: whether network policies let a client reach an endpoint
nft/            balancing and filtering in the kernel, where the overlay is on
tcp_port        one listener
udp_port        one datagram port
dial            connections to an endpoint, here or on another node
pump            bytes both ways (`datagrams`: datagrams)
mesh            the driver (`port_reporter`: which ports another program has; `listening`, pure: read from /proc)
"""

-- Whether anybody signed in from a network is asked at every attempt.
CREATE INDEX known_networks_network ON known_networks (network);

# Two replicas accept connections from one socket. The supervisor opens the socket and keeps it
# open, so clients wait in the backlog and are not refused while a replica is replaced.
shutdown {
  deadline = "9s"
}

child "api" {
  count   = 2
  command = "api"

  # Passed as descriptor 3, as systemd does (LISTEN_FDS, LISTEN_FDNAMES).
  listen "http" {
    tcp = "0.0.0.0:8080"
  }

  # The program sends READY=1 to NOTIFY_SOCKET (sd_notify).
  ready {
    notify  = true
    timeout = "10s"
  }

  # In a reload the new process is ready before the old one is stopped.
  restart {
    strategy = "overlap"
  }
}

# A web server. It is ready when it responds, and restarted when it stops responding.
shutdown {
  deadline = "9s" # below the 10 s of `docker stop`
}

child "web" {
  command = "nginx"
  args    = ["-g", "daemon off;"]

  # SIGQUIT lets nginx finish its requests. SIGTERM would cut them off.
  kill_signal = "SIGQUIT"
  # The master tells its workers to stop. A signal to the group would stop them twice.
  kill_scope   = "process"
  kill_timeout = "5s"

  ready {
    http    = "http://127.0.0.1:80/healthz"
    timeout = "10s"
  }

  # Three consecutive failures restart the child.
  check "alive" {
    http     = "http://127.0.0.1:80/healthz"
    interval = "10s"
    timeout  = "2s"
    limit    = 3
    grace    = "5s" # before the first check
  }
}

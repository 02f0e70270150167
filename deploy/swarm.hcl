# The configuration of the stack in swarm.yaml. Each service runs one child of it (--only).
# docs/graceful-end.md explains the timeouts.

shutdown {
  deadline = "9s"
}

child "server" {
  command      = "server"
  kill_timeout = "5s"
  env = {
    SERVER_DRAIN_TIMEOUT = "3s"
  }
  ready {
    tcp = ":12345"
  }
}

child "client" {
  command = "client"
  env = {
    CLI_ID             = env("CLI_ID", "1")
    CLI_SERVER_ADDRESS = env("CLI_SERVER_ADDRESS", "server:12345")
    CLI_DRAIN_TIMEOUT  = "1s"
  }
}

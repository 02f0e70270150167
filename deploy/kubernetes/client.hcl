# The clients, one in each pod.

shutdown {
  deadline = "9s"
}

child "client" {
  command      = "client"
  kill_timeout = "5s"
  env = {
    CLI_ID             = env("JOB_COMPLETION_INDEX", "0")
    CLI_SERVER_ADDRESS = "echo:12345"
    CLI_DRAIN_TIMEOUT  = "1s"
  }
}

# The demo: an echo server and one client.

log_level  = "info"
log_format = "text"
log_fds    = "all" # every descriptor, also those of the supervisor

shutdown {
  deadline = "9s"  # less than the 10 s of `docker stop`
  findings = "all" # every descriptor that a program leaks makes the verdict leaky
}

child "server" {
  command = "server"
  env = {
    SERVER_PORT = env("SERVER_PORT", "12345")
  }
  ready {
    tcp = ":${env("SERVER_PORT", "12345")}"
  }
}

child "client" {
  count      = 1 # instances client1, client2, ...
  command    = "client"
  depends_on = ["server"]
  env = {
    CLI_ID             = index
    CLI_SERVER_ADDRESS = env("CLI_SERVER_ADDRESS", "127.0.0.1:${env("SERVER_PORT", "12345")}")
  }
}

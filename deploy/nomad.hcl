# Nomad: nomad job run deploy/nomad.hcl
#
# The kill_timeout of the task must be longer than the deadline of the supervisor. Each child has its
# own kill_timeout within that deadline.

variable "image" {
  type    = string
  default = "supervisor:latest"
}

job "echo" {
  type = "service"

  group "server" {
    count = 3

    update {
      max_parallel      = 1
      health_check      = "checks"
      min_healthy_time  = "5s"
      healthy_deadline  = "1m"
      progress_deadline = "5m"
      auto_revert       = true
    }

    network {
      mode = "bridge"
      port "echo" {
        to = 12345
      }
    }

    service {
      name     = "echo"
      port     = "echo"
      provider = "consul" # the provider nomad has no script checks

      check {
        name     = "ready"
        type     = "script"
        task     = "supervisor"
        command  = "/bin/supervisor"
        args     = ["health", "--ready", "--config", "/local/supervisor.hcl"]
        interval = "5s"
        timeout  = "3s" # the command answers within 2 s
      }
    }

    # Time between the removal from the catalogue and the signal. Clients may use an old answer of the
    # catalogue meanwhile.
    shutdown_delay = "3s"

    task "supervisor" {
      driver = "docker"

      kill_signal  = "SIGTERM"
      kill_timeout = "12s" # longer than the deadline below

      config {
        image           = var.image
        args            = ["run", "--config", "/local/supervisor.hcl"]
        ports           = ["echo"]
        readonly_rootfs = true
        cap_drop        = ["ALL"]
        security_opt    = ["no-new-privileges"]
        pids_limit      = 128
      }

      template {
        destination   = "local/supervisor.hcl"
        change_mode   = "signal" # the supervisor reloads, and replaces the changed children
        change_signal = "SIGHUP"
        data          = <<-EOF
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
        EOF
      }

      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}

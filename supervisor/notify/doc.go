// Package notify implements both directions of sd_notify(3). A [Sender] reports the state of
// the supervisor to the service manager that started it (systemd with Type=notify, or another
// one that sets NOTIFY_SOCKET). A [Receiver] receives the notifications of children.
package notify

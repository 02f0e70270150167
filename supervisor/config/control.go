package config

// Control says where the control socket is and who may use it.
type Control struct {
	Socket string // the path; empty: $SUPERVISOR_SOCKET or a default place
	Group  string // the name or number of the group that may use the socket; empty: nobody else
	GID    *uint32
}

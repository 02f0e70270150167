package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync"

	"tp0/supervisor/api"
	"tp0/supervisor/api/server"
	"tp0/supervisor/config"
	"tp0/supervisor/config/plan"
	"tp0/supervisor/control"
)

// controlSocket is the control socket of run.
type controlSocket struct {
	server *server.Server
	name   string        // the abstract name, also if it could not be opened
	first  bool          // no other supervisor runs a part of the same file
	plans  chan struct{} // full while a plan loads the configuration
	load   func() (*config.Config, error)
	warn   func(what string, err error)

	mu      sync.Mutex
	inForce *config.Config // the configuration that runs

	opening sync.Mutex     // held while the socket with a path is replaced
	socket  config.Control // that the socket with a path has
}

// openPath opens the socket with a path. A default place that is not usable is no error: the
// abstract socket is enough. It is a warning if a group is to use the socket.
func (c *controlSocket) openPath(want config.Control) error {
	gid := groupOf(want)
	path := want.Socket
	if path == "" {
		path = os.Getenv(control.SocketVariable)
	}
	var l *control.PathListener
	var err error
	if path == "" {
		l, err = control.ListenIn(control.Directories(os.Geteuid(), os.Getenv), c.name, gid)
		if l == nil && gid != control.NoGroup {
			c.warn("control socket not opened", withoutGroup(want.Group, err))
		}
	} else if l, err = control.ListenPath(path, gid); err != nil {
		if !c.first && errors.Is(err, control.ErrInUse) {
			err = nil // the other supervisor of the same file has the path
		}
		if err != nil {
			return err
		}
	}
	c.server.SetPath(l, gid)
	c.socket = want
	return nil
}

// withoutGroup says that the members of a group cannot connect, because no socket has a path.
func withoutGroup(group string, reason error) error {
	why := ""
	if reason != nil {
		why = " (" + strings.ReplaceAll(reason.Error(), "\n", "; ") + ")"
	}
	return fmt.Errorf("the members of the group %s cannot connect, because no socket has a "+
		"path%s. Set control.socket to a path that the supervisor can create and give to the "+
		"group", group, why)
}

func groupOf(c config.Control) int {
	if c.GID == nil {
		return control.NoGroup
	}
	return int(*c.GID)
}

// configure applies a new configuration. A change of the control block is applied beside the
// orchestrator, because a file system can block it. It may be called before the socket is opened.
func (c *controlSocket) configure(cfg *config.Config) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.inForce
	c.inForce = cfg
	if !reflect.DeepEqual(before.Control, cfg.Control) {
		c.server.Go(c.update)
	}
}

// running returns the configuration that runs.
func (c *controlSocket) running() *config.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inForce
}

// update replaces the socket with a path by that of the configuration. If this fails, the old one
// stays.
func (c *controlSocket) update() {
	c.opening.Lock()
	defer c.opening.Unlock()
	want := c.running().Control
	var err error
	switch {
	case want.Socket != c.socket.Socket:
		err = c.openPath(want)
	case want.Group != c.socket.Group && c.server.Path() == "" && want.GID != nil:
		err = withoutGroup(want.Group, nil)
	case want.Group != c.socket.Group:
		if err = c.server.SetGroup(groupOf(want)); err == nil {
			c.socket = want
		}
	}
	if err != nil {
		c.warn("control socket not changed", err)
	}
}

// loadOnce loads the configuration on disk. A file system can block the load, so one request loads
// at a time, and the request ends before the load if it must.
func (c *controlSocket) loadOnce(ctx context.Context) (*config.Config, error) {
	select {
	case c.plans <- struct{}{}:
	default:
		return nil, &api.Error{
			Kind: api.Unavailable, Detail: "another plan is under way. Try again once it has ended",
		}
	}
	type result struct {
		cfg *config.Config
		err error
	}
	loaded := make(chan result, 1)
	go func() { // a load that the file system blocks is abandoned with the others in a stop
		defer func() { <-c.plans }()
		cfg, err := c.load()
		loaded <- result{cfg, err}
	}()
	select {
	case l := <-loaded:
		if l.err != nil {
			return nil, &api.Error{Kind: api.BadRequest, Detail: l.err.Error()}
		}
		return l.cfg, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// plan compares the file on disk with the configuration that runs.
func (c *controlSocket) plan(ctx context.Context) (d api.Difference, err error) {
	onDisk, err := c.loadOnce(ctx)
	if err != nil {
		return d, err
	}
	return differenceOf(plan.Compare(c.running(), onDisk)), nil
}

// differenceOf returns a plan in the form of the API.
func differenceOf(p plan.Plan) api.Difference {
	d := api.Difference{
		Added: list(p.Added), Removed: list(p.Removed), Kept: list(p.Kept), Changed: []string{},
	}
	for _, c := range p.Changed {
		d.Changed = append(d.Changed, c.Name)
	}
	return d
}

// list returns a copy that is not nil, because JSON has null for a nil slice.
func list(names []string) []string { return append([]string{}, names...) }

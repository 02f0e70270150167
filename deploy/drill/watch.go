package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// watch follows all containers of the stack on all nodes, each from its start to
// its end.
type watch struct {
	cancel context.CancelFunc
	all    sync.WaitGroup
	nodes  []string // as docker -H has them
	names  []string

	mu         sync.Mutex
	containers map[string]*container
	off        string // the node that is cut off
	apart      int    // requests that failed there meanwhile: most servers are on the other side
}

// cutOff says that a node, counted from 1, is cut off by now; 0: none is.
func (w *watch) cutOff(node int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.off = ""; node > 0 {
		w.off = w.nodes[node-1]
	}
}

// container is what is known of one.
type container struct {
	id, service, node string
	ended             bool
	code              string
	last              string // line of its log
	answered, failed  int    // requests of a client
	failure           string // the first
}

func newWatch(nodes []string) *watch {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watch{cancel: cancel, nodes: nodes, containers: map[string]*container{}}
	for _, node := range nodes {
		out, _ := exec.Command("docker", "-H", node, "info", "-f", "{{.Name}}").Output()
		w.names = append(w.names, strings.TrimSpace(string(out)))
		w.all.Go(func() { w.events(ctx, node) })
	}
	return w
}

// name is the hostname of a node, counted from 1.
func (w *watch) name(node int) string { return w.names[node-1] }

func (w *watch) close() {
	w.cancel()
	w.all.Wait()
}

// events hears of each start and each end on a node.
func (w *watch) events(ctx context.Context, node string) {
	format := `{{.Action}} {{.ID}} {{index .Actor.Attributes "com.docker.swarm.service.name"}} {{index .Actor.Attributes "exitCode"}}`
	c := exec.CommandContext(ctx, "docker", "-H", node, "events", "--filter", "type=container",
		"--filter", "event=start", "--filter", "event=die", "--format", format)
	out, err := c.StdoutPipe()
	if err != nil || c.Start() != nil {
		return
	}
	defer c.Wait()
	for in := bufio.NewScanner(out); in.Scan(); {
		words := append(strings.Fields(in.Text()), "", "", "")
		action, id, service := words[0], words[1], words[2]
		if !strings.HasPrefix(service, stack+"_") {
			continue
		}
		w.mu.Lock()
		k := w.containers[id]
		if k == nil {
			k = &container{id: id, service: service, node: node}
			w.containers[id] = k
		}
		if action == "die" {
			k.ended, k.code = true, words[3]
		}
		w.mu.Unlock()
		if action == "start" {
			w.all.Go(func() { w.follow(ctx, k) })
		}
	}
}

// follow reads a container's log to its end.
func (w *watch) follow(ctx context.Context, k *container) {
	c := exec.CommandContext(ctx, "docker", "-H", k.node, "logs", "-f", k.id)
	r, out := io.Pipe()
	c.Stdout, c.Stderr = out, out
	go func() {
		_ = c.Run()
		out.Close()
	}()
	for in := bufio.NewScanner(r); in.Scan(); {
		line := in.Text()
		w.mu.Lock()
		switch {
		case strings.Contains(line, "action: receive_message | result: success"):
			k.answered++
		case strings.Contains(line, "action: receive_message | result: fail") && k.node == w.off:
			w.apart++
		case strings.Contains(line, "action: receive_message | result: fail"):
			if k.failed++; k.failure == "" {
				k.failure = line
			}
		}
		// The streams come on two ways: what a child printed last can come after the
		// supervisor's last line.
		if strings.Contains(line, " supervisor: ") {
			k.last = line
		}
		w.mu.Unlock()
	}
}

var (
	complete = regexp.MustCompile(`shutdown complete: spawned=(\d+) reaped=(\d+) .*fds_opened=(\d+) fds_closed=(\d+) fds_left=(\d+) .*verdict=(\w+)`)
	escape   = regexp.MustCompile(`\x1b\[[0-9;]*m`)
)

// graceful reports whether a container ended as it should: code 0, and as the
// last line books that balance.
func (k *container) graceful() bool {
	m := complete.FindStringSubmatch(escape.ReplaceAllString(k.last, ""))
	return k.code == "0" && m != nil && m[1] == m[2] && m[3] == m[4] && m[5] == "0" &&
		m[6] == "graceful"
}

// report says how it all went, and whether it went well.
func (w *watch) report(out io.Writer) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	var bad []*container
	ended, graceful, answered, failed := map[string]int{}, map[string]int{}, 0, 0
	running := 0
	for _, k := range w.containers {
		answered, failed = answered+k.answered, failed+k.failed
		switch {
		case !k.ended:
			running++
		default:
			ended[k.service]++
			if k.graceful() {
				graceful[k.service]++
			} else {
				bad = append(bad, k)
			}
		}
	}
	for _, s := range []string{stack + "_server", stack + "_client"} {
		fmt.Fprintf(out,
			"%s: %d containers ended, %d with code 0 and a balanced, graceful last line\n", s,
			ended[s], graceful[s])
	}
	fmt.Fprintf(out, "requests: %d answered, %d failed after their retries", answered, failed)
	fmt.Fprintf(out, ", %d on the node that was cut off, meanwhile\n", w.apart)
	if running > 0 {
		fmt.Fprintf(out, "%d containers were not seen to end\n", running)
	}
	slices.SortFunc(bad, func(a, b *container) int { return strings.Compare(a.id, b.id) })
	for _, k := range bad {
		fmt.Fprintf(out, "not graceful: %s %.12s on %s: code %s, last line %q\n", k.service, k.id,
			k.node, k.code, k.last)
	}
	for _, k := range w.containers {
		if k.failed > 0 {
			fmt.Fprintf(out, "failed requests of %.12s on %s: %d, the first: %s\n", k.id, k.node,
				k.failed, k.failure)
		}
	}
	return len(bad) == 0 && failed == 0 && running == 0 && ended[stack+"_server"] > 0
}

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

// stack is the name of the stack and the prefix of its services.
const stack = "echo"

// watch follows all containers of the stack on all nodes from their start to their end.
type watch struct {
	cancel context.CancelFunc
	all    sync.WaitGroup
	nodes  []string // as docker -H accepts them
	names  []string // hostnames

	mu         sync.Mutex
	containers map[string]*container
	off        string // the disconnected node, "" for none
	offFailed  int    // requests that failed on it meanwhile: most servers are on other nodes
}

// cutOff sets the disconnected node, counted from 1. 0 means that all are connected.
func (w *watch) cutOff(node int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.off = ""; node > 0 {
		w.off = w.nodes[node-1]
	}
}

// container is a container of the stack.
type container struct {
	id, service, node string
	ended             bool
	code              string // exit code
	last              string // line of the supervisor in its log
	answered, failed  int    // requests of a client
	failure           string // log line of the first failed request
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

// name returns the hostname of a node, counted from 1.
func (w *watch) name(node int) string { return w.names[node-1] }

func (w *watch) close() {
	w.cancel()
	w.all.Wait()
}

// events reads the start and the end of each container of a node.
func (w *watch) events(ctx context.Context, node string) {
	format := `{{.Action}} {{.ID}} ` +
		`{{index .Actor.Attributes "com.docker.swarm.service.name"}} ` +
		`{{index .Actor.Attributes "exitCode"}}`
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

// follow reads the log of a container to its end.
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
			w.offFailed++
		case strings.Contains(line, "action: receive_message | result: fail"):
			if k.failed++; k.failure == "" {
				k.failure = line
			}
		}
		// Standard output and standard error arrive independently, so the last line of a child can
		// arrive after the last line of the supervisor.
		if strings.Contains(line, " supervisor: ") {
			k.last = line
		}
		w.mu.Unlock()
	}
}

var (
	complete = regexp.MustCompile(`shutdown complete: spawned=(\d+) reaped=(\d+) ` +
		`.*fds_opened=(\d+) fds_closed=(\d+) fds_left=(\d+) .*verdict=(\w+)`)
	escape = regexp.MustCompile(`\x1b\[[0-9;]*m`)
)

// graceful reports whether a container ended with code 0 and a graceful last line, in which each
// process was reaped, each descriptor closed, and none leaked.
func (k *container) graceful() bool {
	m := complete.FindStringSubmatch(escape.ReplaceAllString(k.last, ""))
	return k.code == "0" && m != nil && m[1] == m[2] && m[3] == m[4] && m[5] == "0" &&
		m[6] == "graceful"
}

// report writes the results and returns whether all containers ended gracefully and all requests
// were answered.
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
			"%s: %d containers ended, %d of them gracefully\n", s,
			ended[s], graceful[s])
	}
	fmt.Fprintf(out, "requests: %d answered, %d failed after their retries", answered, failed)
	fmt.Fprintf(out, ", %d failed on the disconnected node\n", w.offFailed)
	if running > 0 {
		fmt.Fprintf(out, "%d containers have not ended\n", running)
	}
	slices.SortFunc(bad, func(a, b *container) int { return strings.Compare(a.id, b.id) })
	for _, k := range bad {
		fmt.Fprintf(out, "not graceful: %s %.12s on %s: code %s, last line %q\n", k.service, k.id,
			k.node, k.code, k.last)
	}
	for _, k := range w.containers {
		if k.failed > 0 {
			fmt.Fprintf(out, "%.12s on %s: %d requests failed, the first: %s\n", k.id, k.node,
				k.failed, k.failure)
		}
	}
	return len(bad) == 0 && failed == 0 && running == 0 && ended[stack+"_server"] > 0
}

// Drill runs a stack through the operations of its life on a swarm of three nodes: deploy, scale,
// rolling update, rollback, drain, loss and return of a node, removal. It follows the log of every
// container. At the end it reports for each container whether its supervisor ended gracefully, and
// how many requests of the clients were answered.
//
//	go run ./deploy/drill -nodes unix:///n1,unix:///n2,unix:///n3 \
//	    -addresses 10.77.0.1,10.77.0.2,10.77.0.3 \
//	    -cut 'ip link set sv%d down' -mend 'ip link set sv%d up'
//
// The nodes are docker engines that are in no swarm. The image is copied from the local engine. At
// the end the drill removes the stack and the swarm.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

const limit = 3 * time.Minute // of one step

type drill struct {
	nodes, addresses []string
	cut, mend        string // commands with %d for the node
	started          time.Time
	watch            *watch
}

func main() {
	nodes := flag.String("nodes", "", "three engines as docker -H accepts them, comma-separated")
	addresses := flag.String("addresses", "", "the addresses of the nodes, comma-separated")
	image := flag.String("image", "supervisor", "the image in the local engine")
	d := &drill{started: time.Now()}
	flag.StringVar(&d.cut, "cut", "", "a command that disconnects node %d, counted from 1")
	flag.StringVar(&d.mend, "mend", "", "a command that connects node %d again")
	flag.Parse()
	d.nodes, d.addresses = strings.Split(*nodes, ","), strings.Split(*addresses, ",")
	if len(d.nodes) != 3 || len(d.addresses) != 3 || d.cut == "" || d.mend == "" {
		fmt.Fprintln(os.Stderr, "deploy/drill: want three -nodes, three -addresses, -cut and "+
			"-mend")
		os.Exit(2)
	}
	err := d.run(*image)
	if err != nil {
		fmt.Fprintln(os.Stderr, "deploy/drill:", err)
	}
	if d.watch != nil && !d.watch.report(os.Stdout) || err != nil {
		os.Exit(1)
	}
}

// docker runs docker against a node, counted from 1.
func (d *drill) docker(node int, args ...string) (string, error) {
	c := exec.Command("docker", append([]string{"-H", d.nodes[node-1]}, args...)...)
	c.Env = append(os.Environ(), "CLI_LOOP_PERIOD=100ms", "CLIENTS=0")
	out, err := c.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("docker %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), err
}

func (d *drill) run(image string) error {
	if err := d.createSwarm(image); err != nil {
		return err
	}
	d.watch = newWatch(d.nodes)
	defer d.watch.close()
	defer d.removeSwarm()
	server := stack + "_server"
	for _, step := range []struct {
		title string
		parts []func() error // one after the other
	}{
		{"deploy 3 servers", []func() error{
			d.manager("stack", "deploy", "-c", "deploy/swarm.yaml", "--resolve-image=never",
				"--detach=true", stack), d.servers(3, 1, 2, 3),
		}},
		{"start 2 clients", []func() error{
			d.manager("service", "scale", "-d", stack+"_client=2"),
			d.poll("there are not 2 clients",
				func() bool { return d.count("client", "", 1, 2, 3) == 2 }),
		}},
		{"scale to 12", []func() error{d.manager("service", "scale", "-d", server+"=12"),
			d.servers(12, 1, 2, 3)}},
		{"rolling update", []func() error{d.update("--image", image+":2"), d.updated("completed"),
			d.servers(12, 1, 2, 3)}},
		{"manual rollback", []func() error{d.manager("service", "rollback", "-d", server),
			d.updated("rollback_completed"), d.servers(12, 1, 2, 3)}},
		{"update that is never healthy, rolled back by the swarm", []func() error{
			d.update("--health-cmd", "no shell here", "--health-interval", "1s", "--health-retries",
				"2", "--health-start-period", "1s"),
			d.updated("rollback_completed"), d.servers(12, 1, 2, 3),
		}},
		{"drain of node 3", []func() error{d.manager("node", "update", "--availability", "drain",
			d.watch.name(3)), d.empty(3), d.servers(12, 1, 2)}},
		{"return of node 3, with new containers", []func() error{
			d.manager("node", "update", "--availability", "active", d.watch.name(3)),
			d.update("--force"), d.updated("completed"), d.servers(12, 1, 2, 3),
		}},
		{"loss of node 2, with replacements", []func() error{d.cutOff(2), d.shell(d.cut, 2),
			d.servers(12, 1, 3)}},
		{"return of node 2, its surplus containers stop",
			[]func() error{d.shell(d.mend, 2), d.ready(2), d.cutOff(0), d.servers(12, 1, 2, 3)}},
		{"scale to 3", []func() error{d.manager("service", "scale", "-d", server+"=3"),
			d.servers(3, 1, 2, 3)}},
		{"stop the clients", []func() error{d.manager("service", "scale", "-d", stack+"_client=0"),
			d.gone("client")}},
		{"remove the stack", []func() error{d.manager("stack", "rm", stack), d.gone("server")}},
	} {
		at := time.Now()
		for _, part := range step.parts {
			if err := part(); err != nil {
				return fmt.Errorf("%s: %w", step.title, err)
			}
		}
		fmt.Printf("%6.1f s  %-58s %5.1f s\n", time.Since(d.started).Seconds(), step.title,
			time.Since(at).Seconds())
	}
	return nil
}

// createSwarm copies the image to the nodes and joins them to a swarm.
func (d *drill) createSwarm(image string) error {
	if out, err := exec.Command("docker", "tag", image, image+":2").CombinedOutput(); err != nil {
		return fmt.Errorf("no image %s: %w: %s", image, err, out)
	}
	for node := range d.nodes {
		load := fmt.Sprintf("docker save %s:latest %s:2 | docker -H %s load -q", image, image,
			d.nodes[node])
		if out, err := exec.Command("sh", "-c", load).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", load, err, out)
		}
	}
	if err := d.manager("swarm", "init", "--advertise-addr", d.addresses[0])(); err != nil {
		return err
	}
	token, err := d.docker(1, "swarm", "join-token", "-q", "worker")
	for node := 2; node <= 3 && err == nil; node++ {
		_, err = d.docker(node, "swarm", "join", "--advertise-addr", d.addresses[node-1], "--token",
			token, d.addresses[0]+":2377")
	}
	return err
}

// removeSwarm removes the stack and then the swarm. A node that leaves the swarm kills its
// containers.
func (d *drill) removeSwarm() {
	if _, err := d.docker(1, "stack", "rm", stack); err == nil {
		_ = d.gone("server")()
		_ = d.gone("client")()
	}
	for node := 3; node >= 1; node-- {
		_, _ = d.docker(node, "swarm", "leave", "--force")
	}
}

// manager returns a part of a step that runs docker on node 1, the manager of the swarm.
func (d *drill) manager(args ...string) func() error {
	return func() error {
		_, err := d.docker(1, args...)
		return err
	}
}

// update updates four replicas of the server at a time. One at a time, as in swarm.yaml, would take
// too long for a drill.
func (d *drill) update(args ...string) func() error {
	args = append([]string{"service", "update", "-d", "--no-resolve-image"}, args...)
	return d.manager(append(args, "--update-parallelism", "4", "--update-monitor", "3s",
		"--rollback-parallelism", "4", stack+"_server")...)
}

// updated waits until the update of the server is in a state.
func (d *drill) updated(state string) func() error {
	return d.poll("the update is not in state "+state, func() bool {
		out, err := d.docker(1, "service", "inspect", "-f", "{{.UpdateStatus.State}}",
			stack+"_server")
		return err == nil && out == state
	})
}

// count returns the number of containers of a service that run on the nodes, limited to a health if
// it is not empty. It returns -1 if an engine does not answer.
func (d *drill) count(service, health string, nodes ...int) (n int) {
	for _, node := range nodes {
		args := []string{"ps", "-q", "--filter",
			"label=com.docker.swarm.service.name=" + stack + "_" + service}
		if health != "" {
			args = append(args, "--filter", "health="+health)
		}
		out, err := d.docker(node, args...)
		if err != nil {
			return -1
		}
		n += len(strings.Fields(out))
	}
	return n
}

// servers waits until n servers run on the nodes and all of them are healthy.
func (d *drill) servers(n int, nodes ...int) func() error {
	return d.poll(fmt.Sprintf("there are not %d healthy servers", n), func() bool {
		return d.count("server", "healthy", nodes...) == n && d.count("server", "", nodes...) == n
	})
}

// gone waits until no container of a service runs.
func (d *drill) gone(service string) func() error {
	return d.poll("containers of "+service+" are still running",
		func() bool { return d.count(service, "", 1, 2, 3) == 0 })
}

// empty waits until no container of the stack runs on a node.
func (d *drill) empty(node int) func() error {
	return d.poll(fmt.Sprintf("containers are still running on node %d", node), func() bool {
		return d.count("server", "", node)+d.count("client", "", node) == 0
	})
}

// ready waits until the swarm reports a node as ready.
func (d *drill) ready(node int) func() error {
	return d.poll(fmt.Sprintf("node %d is not ready", node), func() bool {
		out, err := d.docker(1, "node", "inspect", "-f", "{{.Status.State}}", d.watch.name(node))
		return err == nil && out == "ready"
	})
}

// cutOff tells the watch which node is disconnected, or 0 for none.
func (d *drill) cutOff(node int) func() error {
	return func() error {
		d.watch.cutOff(node)
		return nil
	}
}

// shell runs a command in which %d is the node.
func (d *drill) shell(command string, node int) func() error {
	command = fmt.Sprintf(command, node)
	return func() error {
		out, err := exec.Command("sh", "-c", command).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%s: %w: %s", command, err, out)
		}
		return err
	}
}

// poll waits until done returns true. After the limit it fails with failure.
func (d *drill) poll(failure string, done func() bool) func() error {
	return func() error {
		for end := time.Now().Add(limit); time.Now().Before(end); {
			if done() {
				return nil
			}
			time.Sleep(200 * time.Millisecond)
		}
		return fmt.Errorf("after %v %s", limit, failure)
	}
}

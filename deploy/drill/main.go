// Drill rehearses on a swarm of several nodes what a stack goes through in its
// life: deploy, scale, rolling update, rollback, drain, the loss of a node and
// its return, the end. It follows the log of every container, and at the end says
// of each that ended whether the supervisor in it ended gracefully, and of each
// request whether it was answered.
//
//	go run ./deploy/drill -nodes unix:///n1,unix:///n2,unix:///n3 \
//	    -addresses 10.77.0.1,10.77.0.2,10.77.0.3 -cut 'ip link set sv%d down' -mend 'ip link set sv%d up'

// The nodes are docker engines that are in no swarm yet; the image is taken from
// the local one. It leaves the swarm and the stack as they were: not there.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

const (
	stack = "echo"
	limit = 3 * time.Minute // of one step
)

type drill struct {
	nodes, addresses []string
	cut, mend        string
	began            time.Time
	watch            *watch
}

func main() {
	nodes := flag.String("nodes", "", "the engines, as docker -H has them, with commas between")
	addresses := flag.String("addresses", "", "their addresses for each other")
	image := flag.String("image", "supervisor", "the image, in the local engine")
	d := &drill{began: time.Now()}
	flag.StringVar(&d.cut, "cut", "", "a command that cuts node %d off, counted from 1")
	flag.StringVar(&d.mend, "mend", "", "a command that brings it back")
	flag.Parse()
	d.nodes, d.addresses = strings.Split(*nodes, ","), strings.Split(*addresses, ",")
	if len(d.nodes) != 3 || len(d.addresses) != 3 || d.cut == "" || d.mend == "" {
		fmt.Fprintln(os.Stderr, "deploy/drill: want three nodes, their addresses, -cut and -mend")
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
	if err := d.gather(image); err != nil {
		return err
	}
	d.watch = newWatch(d.nodes)
	defer d.watch.close()
	defer d.leave()
	server := stack + "_server"
	for _, step := range []struct {
		title string
		do    []func() error // one after the other
	}{
		{"deploy 3 servers", []func() error{
			d.manager("stack", "deploy", "-c", "deploy/swarm.yaml", "--resolve-image=never",
				"--detach=true", stack), d.servers(3, 1, 2, 3),
		}},
		{"2 clients begin", []func() error{
			d.manager("service", "scale", "-d", stack+"_client=2"),
			d.poll("there are no 2 clients",
				func() bool { return d.count("client", "", 1, 2, 3) == 2 }),
		}},
		{"scale to 12", []func() error{d.manager("service", "scale", "-d", server+"=12"),
			d.servers(12, 1, 2, 3)}},
		{"rolling update", []func() error{d.update("--image", image+":2"), d.updated("completed"),
			d.servers(12, 1, 2, 3)}},
		{"rollback by hand", []func() error{d.manager("service", "rollback", "-d", server),
			d.updated("rollback_completed"), d.servers(12, 1, 2, 3)}},
		{"an update that is never healthy, taken back by the swarm", []func() error{
			d.update("--health-cmd", "no shell here", "--health-interval", "1s", "--health-retries",
				"2", "--health-start-period", "1s"),
			d.updated("rollback_completed"), d.servers(12, 1, 2, 3),
		}},
		{"drain of node 3", []func() error{d.manager("node", "update", "--availability", "drain",
			d.watch.name(3)), d.empty(3), d.servers(12, 1, 2)}},
		{"node 3 is back, and gets its share", []func() error{
			d.manager("node", "update", "--availability", "active", d.watch.name(3)),
			d.update("--force"), d.updated("completed"), d.servers(12, 1, 2, 3),
		}},
		{"node 2 is cut off, and replaced", []func() error{d.cutOff(2), d.shell(d.cut, 2),
			d.servers(12, 1, 3)}},
		{"node 2 is back, and what is too much on it ends",
			[]func() error{d.shell(d.mend, 2), d.ready(2), d.cutOff(0), d.servers(12, 1, 2, 3)}},
		{"scale to 3", []func() error{d.manager("service", "scale", "-d", server+"=3"),
			d.servers(3, 1, 2, 3)}},
		{"the clients end", []func() error{d.manager("service", "scale", "-d", stack+"_client=0"),
			d.gone("client")}},
		{"all ends", []func() error{d.manager("stack", "rm", stack), d.gone("server")}},
	} {
		at := time.Now()
		for _, do := range step.do {
			if err := do(); err != nil {
				return fmt.Errorf("%s: %w", step.title, err)
			}
		}
		fmt.Printf("%6.1f s  %-58s %5.1f s\n", time.Since(d.began).Seconds(), step.title,
			time.Since(at).Seconds())
	}
	return nil
}

// gather makes a swarm of the nodes, with the image on each.
func (d *drill) gather(image string) error {
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

func (d *drill) leave() {
	// before that, or whoever leaves kills them
	if _, err := d.docker(1, "stack", "rm", stack); err == nil {
		_ = d.gone("server")()
		_ = d.gone("client")()
	}
	for node := 3; node >= 1; node-- {
		_, _ = d.docker(node, "swarm", "leave", "--force")
	}
}

// What follows are the parts of a step.

func (d *drill) manager(args ...string) func() error {
	return func() error {
		_, err := d.docker(1, args...)
		return err
	}
}

// update changes the server four replicas at a time: the file's one at a time is
// for a life that is longer.
func (d *drill) update(args ...string) func() error {
	args = append([]string{"service", "update", "-d", "--no-resolve-image"}, args...)
	return d.manager(append(args, "--update-parallelism", "4", "--update-monitor", "3s",
		"--rollback-parallelism", "4", stack+"_server")...)
}

func (d *drill) updated(state string) func() error {
	return d.poll("the update is not "+state, func() bool {
		out, err := d.docker(1, "service", "inspect", "-f", "{{.UpdateStatus.State}}",
			stack+"_server")
		return err == nil && out == state
	})
}

// count is how many containers of a service run on some nodes: those that are
// healthy, or all.
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

// servers waits until so many are there and healthy on the nodes, and no others.
func (d *drill) servers(n int, nodes ...int) func() error {
	return d.poll(fmt.Sprintf("there are not %d healthy servers", n), func() bool {
		return d.count("server", "healthy", nodes...) == n && d.count("server", "", nodes...) == n
	})
}

func (d *drill) gone(service string) func() error {
	return d.poll("the "+service+"s are still there",
		func() bool { return d.count(service, "", 1, 2, 3) == 0 })
}

func (d *drill) empty(node int) func() error {
	return d.poll("the node is not empty", func() bool {
		return d.count("server", "", node)+d.count("client", "", node) == 0
	})
}

func (d *drill) ready(node int) func() error {
	return d.poll("the node is not ready", func() bool {
		out, err := d.docker(1, "node", "inspect", "-f", "{{.Status.State}}", d.watch.name(node))
		return err == nil && out == "ready"
	})
}

func (d *drill) cutOff(node int) func() error {
	return func() error {
		d.watch.cutOff(node)
		return nil
	}
}

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

func (d *drill) poll(what string, done func() bool) func() error {
	return func() error {
		for late := time.Now().Add(limit); time.Now().Before(late); time.Sleep(200 * time.Millisecond) {
			if done() {
				return nil
			}
		}
		return fmt.Errorf("after %v %s", limit, what)
	}
}

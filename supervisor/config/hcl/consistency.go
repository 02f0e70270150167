package hclconfig

import (
	"net"
	"net/url"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"tp0/supervisor/config"
	"tp0/supervisor/lifecycle"
)

// checkTogether finds attributes whose values contradict each other. It also sets the values of
// the policy that depend on more than one attribute.
func (c *childBlock) checkTogether(v *childValues) hcl.Diagnostics {
	diags := append(c.checkReady(v), c.checkPolicy(v)...)
	diags = append(diags, c.checkLogs(v)...)
	_, given := c.setting("on_failure")
	v.policy.DefaultOnFailure = !given
	_, given = c.setting("hooks.timeout")
	v.policy.Hooks.SharedTimeout = !given
	v.policy.Hooks.StopTimeout = v.policy.Hooks.Timeout
	v.policy.OverlapUpdate = v.strategy == config.Overlap
	if v.policy.OverlapUpdate && v.policy.Oneshot && !c.failed["restart.strategy"] {
		diags = diags.Append(fault(c.at("restart.strategy"), "Oneshot with overlap",
			"A oneshot cannot be replaced with `strategy = \"overlap\"`. Remove `strategy`."))
	}
	_, given = c.setting("restart.min_ready")
	switch {
	case given && v.policy.Oneshot && !c.failed["restart.min_ready"]:
		diags = diags.Append(fault(c.at("restart.min_ready"), "Oneshot with min_ready",
			"A oneshot counts as updated when it completes. Remove `min_ready`."))
	case !given && c.hasReady() && !v.policy.Oneshot:
		v.policy.MinReady = config.DefaultMinReady
	}
	if _, ok := c.setting("kill_sequence"); ok {
		for _, path := range []string{"kill_signal", "kill_timeout", "diagnose_signal"} {
			if _, ok := c.setting(path); ok {
				diags = diags.Append(fault(c.at(path), "Two stop sequences",
					"`kill_sequence` in line %d already has all signals and their times. Remove "+
						"`%s` or `kill_sequence`.", c.at("kill_sequence").Start.Line, path))
			}
		}
	}
	if v.policy.KillSequence != nil {
		v.policy.KillSignal, v.policy.KillTimeout = v.policy.KillSequence[0].Signal, 0
		for _, r := range v.policy.KillSequence {
			v.policy.KillTimeout += r.Wait
		}
	}
	return diags
}

// checkLogs checks that the destinations, the timestamps and the rotation fit the format.
func (c *childBlock) checkLogs(v *childValues) hcl.Diagnostics {
	if c.failed["logs.format"] {
		return nil
	}
	var diags hcl.Diagnostics
	format := v.launch.Logs.Format
	files := false
	for _, s := range v.sinks() {
		isFile := strings.Contains(*s.sink, "/")
		files = files || isFile || c.failed[s.path]
		if isFile && format == config.LogInherit {
			diags = diags.Append(fault(c.at(s.path), "Invalid value for "+s.path,
				"With `format = \"inherit\"` a child cannot write to a file. Use another "+
					"format, or \"stdout\", \"stderr\" or \"none\"."))
		}
	}
	if v.policy.Logs.Timestamps && (format == config.LogInherit || format == config.LogRaw) {
		diags = diags.Append(fault(c.at("logs.timestamps"), "Timestamps without a format",
			"`format = %s` leaves the lines unchanged, so they have no timestamps. Use "+
				"`format = \"text\"`, or remove `timestamps`.", quote(format)))
	}
	if place := c.rotatePlace(); place != nil && !files {
		diags = diags.Append(fault(place, "Rotation without a log file",
			"`rotate` requires that `logs.stdout` or `logs.stderr` is the path of a file."))
	}
	return diags
}

// rotatePlace returns the place of the first value in the rotate block, or nil.
func (c *childBlock) rotatePlace() *hcl.Range {
	for _, s := range c.settings {
		if strings.HasPrefix(s.path, "logs.rotate.") {
			return &s.place
		}
	}
	return nil
}

// checkReady checks the conditions of a ready block.
func (c *childBlock) checkReady(v *childValues) hcl.Diagnostics {
	var diags hcl.Diagnostics
	if s, ok := c.setting("ready.watchdog"); ok && !v.ready.Notify && !c.failed["ready.notify"] {
		diags = diags.Append(fault(&s.place, "Watchdog without notify",
			"`watchdog` requires `notify = true`."))
	}
	if s, ok := c.setting("ready.log"); ok && v.unread() {
		diags = diags.Append(fault(&s.place, "No output to match",
			"`ready.log` requires that the supervisor reads the output. Change `logs.format` "+
				"from inherit, or `logs.stdout` from none."))
	}
	if s, ok := c.setting("ready.tcp"); ok && v.listensOn(v.ready.TCP) {
		diags = diags.Append(fault(&s.place, "Probe of a listen block",
			"The supervisor itself listens on this address because of a `listen` block, so a "+
				"connection proves nothing about the child. Use `notify`, `log` or `exec`."))
	}
	if s, ok := c.setting("ready.http"); ok && v.listensOn(hostPort(v.ready.HTTP)) &&
		(v.strategy == config.Overlap || len(c.numbers) > 1) {
		diags = diags.Append(fault(&s.place, "Probe of a listen block",
			"All instances share the socket of this address because of a `listen` block, so "+
				"another instance or the old process can answer. Use `notify`, `log` or `exec`."))
	}
	return diags
}

// checkPolicy checks the delays of a restart, the restarts of a oneshot, and the scope of the stop
// sequence.
func (c *childBlock) checkPolicy(v *childValues) hcl.Diagnostics {
	var diags hcl.Diagnostics
	if r := v.policy.Restart; r.Delay > r.MaxDelay && !c.failed["restart.delay"] &&
		!c.failed["restart.max_delay"] {
		place := c.at("restart.delay")
		if _, ok := c.setting("restart.delay"); !ok {
			place = c.at("restart.max_delay")
		}
		diags = diags.Append(fault(place, "Delays contradict each other",
			"`max_delay` (%[2]v) must not be less than `delay` (%[1]v).", r.Delay, r.MaxDelay))
	}
	if v.policy.Oneshot && v.policy.Restart.On == "always" && !c.failed["restart.on"] {
		diags = diags.Append(fault(c.at("restart.on"), "Oneshot with restart always",
			"A oneshot completes with its first success, but `on = \"always\"` restarts it. Use "+
				"\"failure\" or \"never\"."))
	}
	if v.policy.Descendants == config.LeaveDescendants &&
		v.policy.KillScope != lifecycle.ScopeProcess &&
		!c.failed["descendants"] && !c.failed["kill_scope"] {
		diags = diags.Append(fault(c.at("descendants"), "Descendants are left and signalled",
			"`descendants = \"leave\"` keeps descendants running, but `kill_scope = %s` sends "+
				"them the signals of each stop. Add `kill_scope = \"process\"`, or remove "+
				"`descendants`.", quote(string(v.policy.KillScope))))
	}
	return diags
}

// hostPort returns the address of a URL, which must be valid or empty.
func hostPort(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// checkRotation finds log files of two children with different rotate blocks. Both children write
// through one open file, so it has one rotation. A child without a rotate block follows the other.
func checkRotation(children []*childBlock) hcl.Diagnostics {
	type owner struct {
		block  *childBlock
		rotate config.Rotate
	}
	var diags hcl.Diagnostics
	owners := map[string]owner{} // by path
	for _, c := range children {
		place, reported := c.rotatePlace(), false
		for _, inst := range c.instances {
			rotate := inst.Policy.Logs.Rotate
			for _, path := range inst.Launch.Logs.Files() {
				before, ok := owners[path]
				if place == nil || reported || ok && before.rotate == rotate {
					continue
				}
				if !ok {
					owners[path] = owner{c, rotate}
					continue
				}
				reported = true
				diags = diags.Append(fault(place, "Different rotations of a file",
					"The log file %s already has another rotation in %s. Use the same values, or "+
						"remove one of the rotate blocks.", quote(path),
					lineOf(*before.block.rotatePlace(), *place)))
			}
		}
	}
	return diags
}

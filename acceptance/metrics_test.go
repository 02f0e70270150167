package acceptance

import (
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

// get returns the status and the text of an answer of the metrics endpoint.
func get(t *testing.T, port, path string) (status int, text string) {
	t.Helper()
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: limit}
	a, err := c.Get("http://127.0.0.1:" + port + path)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, string(b)
}

// expectAnswer compares an answer of the metrics endpoint.
func expectAnswer(t *testing.T, port, path string, status int, text string) {
	t.Helper()
	if gotStatus, got := get(t, port, path); gotStatus != status || got != text {
		t.Errorf("%s: got %d %q, want %d %q", path, gotStatus, got, status, text)
	}
}

// expectMetrics scrapes and compares series: each is a name with labels, a space and a value. A
// value can be left out.
func expectMetrics(t *testing.T, port string, series ...string) {
	t.Helper()
	status, text := get(t, port, "/metrics")
	for _, s := range series {
		if status != 200 || !strings.Contains(text, "\n"+s) {
			t.Errorf("status %d, no series %s in\n%s", status, s, text)
		}
	}
}

func metricsAt(port string) string {
	return "metrics {\n  listen = \"127.0.0.1:" + port + "\"\n}\n"
}

// TestMetrics scrapes a supervisor while its children end, restart and are removed, and while its
// address changes.
func TestMetrics(t *testing.T) {
	t.Parallel()
	first, second := freePort(t), freePort(t)
	web := fixture("web", "sleep", "  count = 2\n")
	db := fixture("db", "sleep", "  check \"alive\" {\n    exec = [\"/bin/true\"]\n"+
		"    grace = \"0s\"\n  }\n")
	s := start(t, metricsAt(first)+web+db)
	s.awaitEntry("all children ready")
	expectAnswer(t, first, "/healthz", 200, "ok\n")
	expectAnswer(t, first, "/readyz", 200, "ok\n")
	s.expectCtl("signal KILL web1", 0, "web1 signalled", "")
	s.awaitEntry("child restarting", "child", "web1")
	s.expectCtl("wait --for ready", 0, "ready", "")
	s.expectCtl("stop web2", 0, "web2 stopped", "")
	before := s.instances()
	expectAnswer(t, first, "/readyz", 503, "web2 is stopped: stopped by "+
		before["web2"].StoppedBy.String()+"\n")
	const web1, web2 = `{child="web",replica="web1"`, `{child="web",replica="web2"`
	expectMetrics(t, first, "supervisor_build_info{", "supervisor_child_up"+web1+"} 1\n",
		"supervisor_child_up"+web2+"} 0\n", "supervisor_child_held"+web2+"} 1\n",
		"supervisor_child_restarts_total"+web1+"} 1\n",
		"supervisor_child_exits_total"+web1+`,reason="signal"} 1`,
		"supervisor_child_exits_total"+web2+`,reason="stopped"} 1`,
		"supervisor_child_stops_total"+web2+`,verdict="graceful"} 1`,
		`supervisor_child_stop_duration_seconds_count{child="web"} 1`,
		`supervisor_child_stop_timeout_ratio_bucket{child="web",le="1"} 1`,
		"supervisor_child_output_lines_total"+web1+`,stream="stdout"} 2`,
		"supervisor_child_output_bytes_total"+web2+`,stream="stdout"} 6`,
		"supervisor_child_cpu_seconds_total"+web1, "supervisor_child_resident_memory_bytes"+web1,
		"supervisor_child_open_fds"+web1, "supervisor_open_fds ",
		`supervisor_child_checks_total{child="db",replica="db",check="alive",result="failed"} 0`)

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	s.write(metricsAt(port) + web)
	s.expectCtl("reload", 1, "", "address already in use")
	expectMetrics(t, first, `supervisor_config_reloads_total{result="rejected"} 1`,
		"supervisor_config_last_reload_successful 0\n", `supervisor_child_up{child="db"`)
	s.write(metricsAt(second) + web)
	s.expectCtl("reload", 0, "- removed  db", "")
	if after := s.instances(); after["web1"].Pid != before["web1"].Pid {
		t.Errorf("the reload has replaced web1: %+v", after["web1"])
	}
	expectMetrics(t, second, `supervisor_config_reloads_total{result="success"} 1`,
		"supervisor_config_last_reload_successful 1\n")
	if _, text := get(t, second, "/metrics"); strings.Contains(text, `child="db"`) {
		t.Errorf("the child db has series after its end:\n%s", text)
	}
	if c, err := net.Dial("tcp", "127.0.0.1:"+first); err == nil {
		c.Close()
		t.Error("the first address is still open")
	}
	s.signal(syscall.SIGTERM)
	s.expectStop(0, "graceful")
}

// TestMetricsInStop asks during a stop, and starts a supervisor whose address is in use.
func TestMetricsInStop(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	s := start(t, metricsAt(port)+fixture("a", "ignore-term", "  kill_timeout = \"4s\"\n"))
	s.awaitEntry("all children ready")
	s.awaitLine("ready")
	other := start(t, metricsAt(port)+fixture("a", "sleep", ""))
	if code := other.exitCode(); code != 1 {
		t.Errorf("the address is in use: exit code %d, want 1", code)
	}
	other.expectText("supervisor: cannot open the address of metrics.listen: listen tcp " +
		"127.0.0.1:" + port + ": bind: address already in use: another process")
	s.signal(syscall.SIGTERM)
	s.awaitEntry("signal sent", "child", "a")
	expectAnswer(t, port, "/healthz", 200, "ok\n")
	expectAnswer(t, port, "/readyz", 503, "stopping\n")
	expectMetrics(t, port, "supervisor_stopping 1\n")
	s.signal(syscall.SIGTERM) // the next step
	s.expectStop(124, "forced")
}

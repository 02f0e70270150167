package check

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"tp0/supervisor/fixture/needs"
)

const prometheusDir = "deploy/prometheus/"

// documented returns the metrics of docs/metrics.md, which a test compares with the program, and
// their types.
func documented(t *testing.T) map[string]string {
	t.Helper()
	types := map[string]string{}
	row := regexp.MustCompile("(?m)^\\| `(supervisor_[a-z_]+)` \\| ([a-z]+) \\|")
	for _, m := range row.FindAllStringSubmatch(string(read(t, "docs/metrics.md")), -1) {
		types[m[1]] = m[2]
	}
	if len(types) < 30 {
		t.Fatalf("docs/metrics.md has %d metrics, want all", len(types))
	}
	return types
}

// expressions returns the expressions of the panels and variables of the dashboard.
func expressions(t *testing.T) (all []string) {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
		Templating struct{ List []struct{ Definition string } }
	}
	if err := json.Unmarshal(read(t, prometheusDir+"dashboard.json"), &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, p := range dashboard.Panels {
		if len(p.Targets) == 0 {
			t.Errorf("the panel %q has no expression", p.Title)
		}
		for _, target := range p.Targets {
			all = append(all, target.Expr)
		}
	}
	for _, v := range dashboard.Templating.List {
		if query, ok := strings.CutPrefix(v.Definition, "label_values("); ok {
			all = append(all, query[:strings.LastIndexByte(query, ',')])
		}
	}
	return all
}

// TestPrometheusNames checks that rules, their tests and the dashboard use only metrics that exist,
// and that docs/metrics.md explains each alert.
func TestPrometheusNames(t *testing.T) {
	types := documented(t)
	name := regexp.MustCompile(`\bsupervisor_[a-z_]+`)
	texts := map[string]string{"dashboard.json": strings.Join(expressions(t), "\n")}
	for _, file := range []string{"supervisor.rules.yml", "supervisor.test.yml"} {
		texts[file] = string(read(t, prometheusDir+file))
	}
	for file, text := range texts {
		names := name.FindAllString(text, -1)
		if len(names) < 9 {
			t.Errorf("%s: got the metrics %q, want more", file, names)
		}
		for _, n := range names {
			base := strings.TrimSuffix(n, "_bucket")
			if types[n] == "" && types[base] != "histogram" {
				t.Errorf("%s uses %s, which docs/metrics.md does not have", file, n)
			}
		}
	}
	alert := regexp.MustCompile(`\bSupervisor[A-Z][A-Za-z]+`)
	defined := alert.FindAllString(texts["supervisor.rules.yml"], -1)
	explained := alert.FindAllString(string(read(t, "docs/metrics.md")), -1)
	tested := alert.FindAllString(texts["supervisor.test.yml"], -1)
	slices.Sort(defined)
	slices.Sort(explained)
	slices.Sort(tested)
	if !slices.Equal(defined, slices.Compact(explained)) {
		t.Errorf("docs/metrics.md explains %q, the rules are %q", explained, defined)
	}
	if !slices.Equal(defined, slices.Compact(tested)) {
		t.Errorf("the tests are about %q, the rules are %q", tested, defined)
	}
}

// promtool runs promtool in the directory of the rules.
func promtool(t *testing.T, input string, args ...string) {
	t.Helper()
	c := exec.Command("promtool", args...)
	c.Dir, c.Stdin = filepath.Join(root, prometheusDir), strings.NewReader(input)
	if out, err := c.CombinedOutput(); err != nil || bytes.Contains(out, []byte("FAILED")) {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// TestPrometheusRules lets promtool check the configuration, evaluate the rules, and parse the
// expressions of the dashboard.
func TestPrometheusRules(t *testing.T) {
	needs.Check(t, "prometheus")
	promtool(t, "", "check", "config", "prometheus.yml")
	promtool(t, "", "check", "rules", "--lint-fatal", "supervisor.rules.yml")
	promtool(t, "", "test", "rules", "supervisor.test.yml")
	type rule struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	var rules []rule
	for i, e := range expressions(t) {
		e = strings.ReplaceAll(e, "$__rate_interval", "5m")
		rules = append(rules, rule{fmt.Sprintf("panel:%d", i), e})
	}
	b, err := yaml.Marshal(map[string]any{
		"groups": []any{map[string]any{"name": "dashboard", "rules": rules}},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "dashboard.rules.yml")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "", "check", "rules", file)
}

// program starts a program that is terminated at the end of the test.
func program(t *testing.T, dir, path string, args ...string) {
	t.Helper()
	c := exec.Command(path, args...)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	c.Dir, c.Stdout, c.Stderr = dir, log, log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		_ = c.Wait()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("%s:\n%.8000s", filepath.Base(path), text)
		}
		log.Close()
	})
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// query asks the API of Prometheus until done returns true for the answer.
func query(t *testing.T, address, path string, answer any, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		body, err := get(ctx, "http://"+address+path)
		if err == nil {
			if err = json.Unmarshal(body, answer); err == nil && done() {
				return
			}
		}
		select {
		case <-time.After(100 * time.Millisecond): // Prometheus tells nobody of a scrape
		case <-ctx.Done():
			t.Fatalf("%s: not in time: %v\n%.4000s", path, err, body)
		}
	}
}

func get(ctx context.Context, address string) ([]byte, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	return io.ReadAll(a.Body)
}

// TestPrometheusScrapes lets the Prometheus of Debian scrape a supervisor with a child that serves
// and one that fails, and evaluate the alert rules. promtool, which has promlint, checks the text.
func TestPrometheusScrapes(t *testing.T) {
	needs.Check(t, "prometheus")
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", dir, "./supervisor")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	target, prometheus := freeAddress(t), freeAddress(t)
	config := fmt.Sprintf("metrics {\n  listen = %q\n}\n"+
		"child \"web\" {\n  command = [\"/bin/sleep\", \"1000\"]\n"+
		"  check \"alive\" {\n    exec = [\"/bin/true\"]\n    grace = \"0s\"\n  }\n}\n"+
		"child \"bad\" {\n  command = \"/bin/false\"\n  on_failure = \"ignore\"\n"+
		"  restart {\n    attempts = 1\n    delay = \"1ms\"\n  }\n"+
		"  hooks {\n    post_stop = [\"/bin/true\"]\n  }\n}\n", target)
	scrape := string(read(t, prometheusDir+"prometheus.yml"))
	for old, value := range map[string]string{
		`127.0.0.1:9180`: target, "scrape_interval: 15s": "scrape_interval: 200ms",
	} {
		if strings.Count(scrape, old) == 0 {
			t.Fatalf("prometheus.yml has no %q", old)
		}
		scrape = strings.ReplaceAll(scrape, old, value)
	}
	scrape += "global:\n  evaluation_interval: 500ms\n"
	for name, text := range map[string]string{
		"supervisor.hcl": config, "prometheus.yml": scrape,
		"supervisor.rules.yml": string(read(t, prometheusDir+"supervisor.rules.yml")),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program(t, dir, filepath.Join(dir, "supervisor"), "run")
	program(t, dir, "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data",
		"--web.listen-address="+prometheus)
	var alerts struct {
		Data struct {
			Alerts []struct {
				Labels map[string]string
				State  string
			}
		}
	}
	query(t, prometheus, "/api/v1/alerts", &alerts, func() bool {
		for _, a := range alerts.Data.Alerts {
			if a.Labels["alertname"] == "SupervisorChildFailed" && a.State == "firing" {
				return a.Labels["replica"] == "bad"
			}
		}
		return false
	})
	checkScraped(t, prometheus)
	text, err := get(t.Context(), "http://"+target+"/metrics")
	if err != nil {
		t.Fatal(err)
	}
	promtool(t, string(text), "check", "metrics")
}

// checkScraped checks the types that Prometheus knows, and some values.
func checkScraped(t *testing.T, prometheus string) {
	t.Helper()
	var metadata struct {
		Data map[string][]struct{ Type, Help string }
	}
	query(t, prometheus, "/api/v1/metadata", &metadata, func() bool {
		return len(metadata.Data) > 0
	})
	types := documented(t)
	for name, all := range metadata.Data {
		if len(all) != 1 || all[0].Type != types[name] || all[0].Help == "" {
			t.Errorf("Prometheus has %s as %+v, want a %q", name, all, types[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(types)) {
		// No stop has been observed.
		if len(metadata.Data[name]) == 0 && types[name] != "histogram" {
			t.Errorf("Prometheus has no %s", name)
		}
	}
	for expr, want := range map[string]string{
		`up{job="supervisor"}`:                                       "1",
		`supervisor_child_up{replica="web"}`:                         "1",
		`supervisor_child_failed{replica="bad"}`:                     "1",
		`supervisor_child_restarts_total{replica="bad"}`:             "1",
		`supervisor_child_exits_total{child="bad",reason="failure"}`: "2",
		`supervisor_child_hooks_total{child="bad",result="success"}`: "2",
	} {
		var result struct {
			Data struct {
				Result []struct{ Value [2]any }
			}
		}
		query(t, prometheus, "/api/v1/query?query="+url.QueryEscape(expr), &result, func() bool {
			return len(result.Data.Result) == 1 && result.Data.Result[0].Value[1] == want
		})
	}
}

package check

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// built returns the objects that kubectl apply -k would send.
func built(t *testing.T) []*resource.Resource {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join(root, "deploy/kubernetes"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return m.Resources()
}

// TestManifestsDecode checks that all objects decode into the types of the API without an unknown
// field, and that there are no others.
func TestManifestsDecode(t *testing.T) {
	n := len(objects[core.Namespace](t, "Namespace")) +
		len(objects[core.ConfigMap](t, "ConfigMap")) +
		len(objects[apps.Deployment](t, "Deployment")) + len(objects[core.Service](t, "Service")) +
		len(objects[policyv1.PodDisruptionBudget](t, "PodDisruptionBudget")) +
		len(objects[batch.Job](t, "Job"))
	if all := len(built(t)); n != all || n != 6 {
		t.Errorf("got %d objects, %d of them of a known kind, want 6", all, n)
	}
	for _, r := range built(t) {
		if r.GetKind() != "Namespace" && r.GetNamespace() != "echo" {
			t.Errorf("%s %s is in namespace %q, want echo",
				r.GetKind(), r.GetName(), r.GetNamespace())
		}
	}
}

// TestPodsAreRestricted checks each pod with the policy "restricted" of the admission controller,
// which the namespace enforces.
func TestPodsAreRestricted(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for name, pod := range pods(t) {
		for _, r := range evaluator.EvaluatePod(level, &pod.ObjectMeta, &pod.Spec) {
			if !r.Allowed {
				t.Errorf("%s: %s: %s", name, r.ForbiddenReason, r.ForbiddenDetail)
			}
		}
		bad := pod.DeepCopy()
		bad.Spec.Containers[0].SecurityContext.AllowPrivilegeEscalation = nil
		if !slices.ContainsFunc(evaluator.EvaluatePod(level, &bad.ObjectMeta, &bad.Spec),
			func(r policy.CheckResult) bool { return !r.Allowed }) {
			t.Errorf("%s passes with privilege escalation, want a refusal", name)
		}
	}
	if got := objects[core.Namespace](t,
		"Namespace")[0].Labels["pod-security.kubernetes.io/enforce"]; got != "restricted" {
		t.Errorf("the namespace enforces %q, want restricted", got)
	}
}

// TestReferences checks that selectors, ports, probes and the disruption budget fit the deployment.
func TestReferences(t *testing.T) {
	d := objects[apps.Deployment](t, "Deployment")[0]
	has := func(selector map[string]string, what string) {
		t.Helper()
		for k, v := range selector {
			if d.Spec.Template.Labels[k] != v {
				t.Errorf("%s selects %s=%s, but the pods have the labels %v", what, k, v,
					d.Spec.Template.Labels)
			}
		}
	}
	has(d.Spec.Selector.MatchLabels, "the deployment")
	service := objects[core.Service](t, "Service")[0]
	has(service.Spec.Selector, "the service")
	has(objects[policyv1.PodDisruptionBudget](t,
		"PodDisruptionBudget")[0].Spec.Selector.MatchLabels, "the budget")
	c := d.Spec.Template.Spec.Containers[0]
	if !slices.ContainsFunc(c.Ports, func(p core.ContainerPort) bool {
		return p.Name == service.Spec.Ports[0].TargetPort.String()
	}) {
		t.Errorf("the service has target port %v, which the container does not have",
			service.Spec.Ports[0].TargetPort)
	}
	for name, p := range map[string]*core.Probe{"startup": c.StartupProbe,
		"readiness": c.ReadinessProbe, "liveness": c.LivenessProbe} {
		command := strings.Join(p.Exec.Command, " ")
		if !strings.HasPrefix(command, "/bin/supervisor health") || p.TimeoutSeconds <= 2 {
			t.Errorf("%s: got %s with a timeout of %d s, want supervisor health with more than 2 s",
				name, command, p.TimeoutSeconds)
		}
		if ready := strings.Contains(command, "--ready"); ready != (name != "liveness") {
			t.Errorf("%s runs %s, want --ready except for liveness", name, command)
		}
	}
	if *d.Spec.Replicas <= int32(objects[policyv1.PodDisruptionBudget](t,
		"PodDisruptionBudget")[0].Spec.MaxUnavailable.IntValue()) {
		t.Error("the disruption budget allows the eviction of all pods")
	}
}

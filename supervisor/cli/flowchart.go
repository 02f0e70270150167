package cli

import (
	"fmt"
	"io"
	"strings"

	"tp0/supervisor/config"
)

// writeFlowchart prints the dependencies as a flowchart of mermaid. Names of children need no
// escapes: they have letters, digits, dots, underscores and dashes only. Nodes have numbers,
// because some names are keywords of mermaid.
func writeFlowchart(w io.Writer, cfg *config.Config) {
	fmt.Fprintln(w, "flowchart TD")
	node := map[string]string{}
	for i, c := range cfg.Children {
		node[c.Name] = fmt.Sprintf("c%d", i)
		text := strings.Join(append([]string{c.Name}, traits(c)...), ", ")
		before, after := shape(c)
		fmt.Fprintf(w, "    %s%s\"%s\"%s\n", node[c.Name], before, text, after)
	}
	for _, c := range cfg.Children {
		for _, d := range c.DependsOn {
			fmt.Fprintf(w, "    %s -->|%s| %s\n", node[d.Child], d.Until, node[c.Name])
		}
	}
}

// shape returns the brackets of the node of a child.
func shape(c *config.Child) (before, after string) {
	switch {
	case len(c.Instances) == 0:
		return "(", ")"
	case c.Sidecar():
		return "[[", "]]"
	case c.Instances[0].Policy.Oneshot:
		return "([", "])"
	}
	return "[", "]"
}

package retain

import "tp0/supervisor/config"

// A Hook says which hook of an instance printed a line: its number in HookNames. 0 is the main
// process.
type Hook uint8

// HookNames are the names of the hooks, as in the configuration. The first one is that of the main
// process.
var HookNames = append([]string{""}, config.HookNames...)

// HookNamed returns the hook with a name; 0 if there is none.
func HookNamed(name string) Hook {
	for i, known := range HookNames {
		if name == known {
			return Hook(i)
		}
	}
	return 0
}

func (h Hook) String() string { return HookNames[h] }

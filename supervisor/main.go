// Supervisor runs programs as its children, ends them gracefully, and proves that it did.
package main

import (
	"os"

	"tp0/supervisor/app"
)

// version is set by the linker.
var version = "dev"

func main() { os.Exit(app.Main(os.Args[1:], version)) }

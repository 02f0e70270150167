package files

import (
	"os"
	"testing"

	"tp0/supervisor/fixture/attacker"
)

func TestMain(m *testing.M) {
	attacker.Run()
	os.Exit(m.Run())
}

package hclconfig

// Limits of a configuration. HCL has none: 100,000 brackets overflow the stack, which ends the
// process, and `"${1e99999999}"` makes a string of 100 MB. A running supervisor reads files in a
// reload and must survive each of them.
const (
	maxFile    = 4 << 20 // bytes
	maxTokens  = 600_000 // of a configuration; each takes 400 bytes of memory in the parser
	maxFaults  = 500     // that are reported; a fault for each of 200,000 blocks takes 68 MB
	maxNesting = 400     // nested brackets, blocks and operators; each takes 10 KB of stack
	maxName    = 256     // bytes of an identifier
	maxDigits  = 100     // bytes of a number; the time to parse it grows with the square
	maxHeredoc = 1000    // lines of a heredoc; likewise
	maxBits    = 4096    // the largest binary exponent of a number
	maxWork    = 2e6     // steps to evaluate a configuration, see [evaluation]
	maxFiles   = 1000    // of a configuration
	maxEntries = 10_000  // directory entries that patterns of include read
	maxLocals  = 10_000  // the evaluation of locals is recursive
	maxDetail  = 4096    // bytes of the detail of a fault; a function's error can have an argument
)

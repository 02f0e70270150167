package output

// Spec describes the output of one process of a child.
type Spec struct {
	Instance string
	Child    string // its instances have one color
	// Hook is the hook of the instance whose output it is; empty: that of its main process. Lines
	// in text begin with `[instance hook]`, and objects in json have the key hook. The ledger has
	// its pipes as internal ones.
	Hook string
	// NextProcess: the hook runs before a process, and its lines belong to that process.
	NextProcess bool
	// Format is one of
	//
	//	text     `[instance] line`, control characters made visible (\x1b, \u009b)
	//	json     one object a line: @timestamp (of the read), @module, stream, @message
	//	raw      the bytes as they were read, control characters included
	//	inherit  no relay: the process gets the descriptor itself
	//
	// A line above 64 KiB is split. Each piece but the last ends with … in text and has
	// "partial": true in json. A last line without a newline gets one in text and json. In raw
	// it gets one only if a line of another stream follows.
	Format string
	// Colors is keep or strip; empty means keep. With keep, the colors of the child reach a
	// terminal if the format is text; elsewhere they are made visible. With strip they are removed,
	// in text and json.
	Colors string
	// Stdout and Stderr are the destinations: stdout, stderr, none (/dev/null) or a path. A file
	// is created (mode 0640) if it does not exist, and appended to. A FIFO without a reader is
	// an error, and so is a file that another user may have prepared, see [files.Dir.Append].
	Stdout, Stderr string
	// UID is the user of the process; nil is our own. The process can open /dev/stdout and
	// /dev/stderr all the same.
	UID *uint32
	// Lines, if not nil, is called with the lines of both streams before they are formatted:
	// whole lines, or the pieces of a split line. It is called by two goroutines, which read
	// nothing meanwhile, and must not keep the slice.
	Lines func([]byte)
	// Awaited, if not nil, reports whether Lines waits for a line. Then Lines is also called with
	// the beginning of a line after which the process is silent for a moment: a prompt. It is
	// called again with the whole line.
	Awaited func() bool
}

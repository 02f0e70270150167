package retain

// selects reports whether the query has the name of the instance, or of its child.
func (q *Query) selects(i *Instance) bool { return q.Selects(i.name, i.child) }

// A floor is the first line of an instance that a query selects.
type floor struct {
	seq     uint64 // of its run
	skip    uint32 // lines of the run before it
	process uint32 // with Previous: the number of the process
}

// A cursor is the position of a reader. Its fields belong to the Store, except wake.
type cursor struct {
	query  Query
	since  int64  // in ns since 1970
	next   uint64 // seq of the first run that was not read
	until  uint64 // seq of the last run, if the query does not follow
	floors map[*Instance]floor
	missed uint64
	wake   chan struct{} // capacity 1
}

func (c *cursor) notify() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// selectsRun reports whether the query selects a run of an instance, apart from its position.
func (c *cursor) selectsRun(x *run, process uint32) bool {
	return c.query.streams(x.stream) && x.at >= c.since &&
		(!c.query.Previous || x.process == process)
}

// wants reports whether the reader has not read a run that the query selects.
func (c *cursor) wants(i *Instance, x *run) bool {
	if x.seq < c.next || !c.query.Follow && x.seq > c.until || !c.query.selects(i) {
		return false
	}
	f := c.floors[i]
	return x.seq >= f.seq && c.selectsRun(x, f.process)
}

// skip returns the number of lines at the beginning of a run that the query does not select.
func (c *cursor) skip(i *Instance, x *run) uint32 {
	if f := c.floors[i]; f.seq == x.seq {
		return f.skip
	}
	return 0
}

// setFloor finds the first line of an instance that the query selects. now is seq of the last run.
func (c *cursor) setFloor(i *Instance, now uint64) {
	f := floor{}
	if c.query.Previous {
		f.process = i.processes // the last one, if none runs
		if i.users > 0 {
			f.process--
		}
	}
	if c.query.Last >= 0 {
		f.seq = now + 1
		left := uint64(c.query.Last)
		for k := len(i.chunks) - 1; k >= 0 && left > 0; k-- {
			runs := i.chunks[k].runs
			for n := len(runs) - 1; n >= 0 && left > 0; n-- {
				x := &runs[n]
				if !c.selectsRun(x, f.process) {
					continue
				}
				f.seq, f.skip = x.seq, 0
				if uint64(x.lines) > left {
					f.skip = x.lines - uint32(left)
				}
				left -= min(uint64(x.lines), left)
			}
		}
	}
	c.floors[i] = f
}

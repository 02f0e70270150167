// Package graceful is what a program needs to end well: a handler that is there before anything
// else and stays to the last line, two contexts that say "begin to end" and "end now", and a log
// that tells of every resource as it is closed.
//
// A program's course, with the calls in their order:
//
//	main      signals := graceful.Catch(drain)        the first statement of main
//	          os.Exit(signals.Main(body))
//	body      log := graceful.NewLog(os.Stdout)
//	          group.Add(signals.Actor(log))           beside the program's own actors, in an oklog/run group

// group.Run()                             until the work has returned
// log.Close("listener", listener)         each resource where its owner lets go of it
// return signals.End(log, code)           the signal channel, and the last line
package graceful

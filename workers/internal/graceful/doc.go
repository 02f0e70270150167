// Package graceful ends a program in an orderly way. It installs the signal handler before anything
// else and keeps it until the last line, provides two contexts (stop, and stop now), and a log with
// a line for each resource that is closed.
//
// The calls of a program, in order:
//
//	main      signals := graceful.Catch(drain)  // the first statement of main
//	          os.Exit(signals.Main(body))
//	body      log := graceful.NewLog(os.Stdout)
//	          group.Add(signals.Actor(log))     // an oklog/run group, with the other actors
//	          group.Run()                       // until the work has returned
//	          log.Close("listener", listener)   // each resource, by its owner
//	          return signals.End(log, code)     // the signal channel, and the last line
package graceful

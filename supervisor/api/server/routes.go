package server

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"tp0/supervisor/api"
	"tp0/supervisor/control"
)

// route is an entry of the table of routes.
type route struct {
	method, path string
	handle       func(*Server, http.ResponseWriter, *http.Request)
}

// routeTable returns the table of all routes; docs/openapi.yaml has the same.
func routeTable() []route {
	table := []route{
		{"GET", "/v1/supervisor", (*Server).identity},
		{"GET", "/v1/status", (*Server).status},
		{"GET", "/v1/health/alive", healthHandler(control.Alive)},
		{"GET", "/v1/health/ready", healthHandler(control.Ready)},
		{"GET", "/v1/events", (*Server).events},
		{"GET", "/v1/logs", (*Server).logs},
		{"GET", "/v1/plan", (*Server).plan},
		{"GET", "/v1/fds", (*Server).fds},
		{"GET", "/v1/why", (*Server).why},
	}
	for _, verb := range []api.Verb{
		api.Start, api.Stop, api.Restart, api.Signal, api.Reload, api.Wait, api.Shutdown,
	} {
		table = append(table, route{"POST", "/v1/" + string(verb), operationHandler(verb)})
	}
	return table
}

// routes returns the handler of all requests.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for _, r := range routeTable() {
		mux.HandleFunc(r.method+" "+r.path, func(w http.ResponseWriter, q *http.Request) {
			s.handle(w, q, r)
		})
		mux.HandleFunc(r.path, func(w http.ResponseWriter, q *http.Request) {
			w.Header().Set("Allow", r.method)
			writeError(w, &api.Error{
				Kind:   api.MethodNotAllowed,
				Detail: "the method is " + strconv.Quote(q.Method) + ": it must be " + r.method,
			})
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, &api.Error{
			Kind: api.NotFound, Detail: "no such route: see docs/openapi.yaml",
		})
	})
	return mux
}

// handle answers one request. A GET has no body to wait for, so its connection is busy at once.
func (s *Server) handle(w http.ResponseWriter, q *http.Request, r route) {
	if r.method == http.MethodGet {
		s.shares.setBusy(connOf(q).seat, true)
	}
	r.handle(s, w, q)
}

func (s *Server) identity(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.opt.Identity)
}

func healthHandler(question control.Question) func(*Server, http.ResponseWriter, *http.Request) {
	return func(s *Server, w http.ResponseWriter, q *http.Request) {
		ctx, cancel := context.WithTimeout(q.Context(), answerTimeout)
		defer cancel()
		h := s.opt.Health(ctx)
		if reason := h.Failure(question); reason != "" {
			writeError(w, &api.Error{Kind: api.Unhealthy, Detail: reason})
			return
		}
		writeJSON(w, http.StatusOK, api.Health{OK: true, Note: h.Note})
	}
}

// status answers with the state of the instances, or of those with a name.
func (s *Server) status(w http.ResponseWriter, q *http.Request) {
	ctx, cancel := context.WithTimeout(q.Context(), answerTimeout)
	defer cancel()
	names := q.URL.Query()["name"]
	if err := checkNames(names); err != nil {
		writeError(w, err)
		return
	}
	all, err := s.opt.Orchestrator().Status(ctx)
	if err == nil && len(names) > 0 {
		all.Instances, err = named(all.Instances, names)
	}
	if err != nil {
		writeError(w, err)
		return
	}
	if all.Instances == nil {
		all.Instances = []api.Instance{}
	}
	all.Supervisor.Version = s.opt.Identity.Version
	all.Supervisor.Config = s.opt.Identity.Config
	if q.URL.Query().Get("usage") != "false" {
		s.opt.Measure(ctx, &all)
	}
	writeJSON(w, http.StatusOK, all)
}

func (s *Server) plan(w http.ResponseWriter, q *http.Request) {
	ctx, cancel := context.WithTimeout(q.Context(), answerTimeout)
	defer cancel()
	d, err := s.opt.Plan(ctx)
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, withLists(d))
}

// events answers with a stream of the events after the number of the parameter after.
func (s *Server) events(w http.ResponseWriter, q *http.Request) {
	var after uint64
	query := q.URL.Query()
	if text := query.Get("after"); text != "" {
		var err error
		if after, err = strconv.ParseUint(text, 10, 64); err != nil {
			writeError(w, badRequest("after is %.40q: it must be the seq of an event", text))
			return
		}
	}
	if !s.shares.startStream(connOf(q).seat) {
		writeError(w, &api.Error{Kind: api.TooMany, Detail: tooMany.Detail})
		return
	}
	ctx, cancel := context.WithCancel(q.Context())
	defer cancel()
	defer context.AfterFunc(s.ending, cancel)()
	out := newStream(w)
	_ = out.control.SetReadDeadline(time.Time{})
	if out.start() == nil && q.Method != http.MethodHead {
		_ = s.opt.Events.read(ctx, after, isSet(query, "follow"), func(e api.Event) error {
			return out.write(e)
		})
	}
}

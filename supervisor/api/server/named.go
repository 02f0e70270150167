package server

import (
	"context"
	"net/http"

	"tp0/supervisor/api"
)

// fds answers with the open descriptors of the instances with a name.
func (s *Server) fds(w http.ResponseWriter, q *http.Request) {
	ctx, cancel := context.WithTimeout(q.Context(), answerTimeout)
	defer cancel()
	instances, err := s.named(ctx, q)
	if err != nil {
		writeError(w, err)
		return
	}
	found, err := s.opt.ReadFDs(ctx, instances)
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, found)
}

// named returns the state of the instances that the parameters name. One name is needed.
func (s *Server) named(ctx context.Context, q *http.Request) ([]api.Instance, error) {
	names, err := givenNames(q)
	if err != nil {
		return nil, err
	}
	all, err := s.opt.Orchestrator().Status(ctx)
	if err != nil {
		return nil, err
	}
	return named(all.Instances, names)
}

// givenNames returns the names that the parameters have, one or more.
func givenNames(q *http.Request) ([]string, error) {
	names := q.URL.Query()["name"]
	if len(names) == 0 {
		return nil, badRequest("the parameter name is missing: it must be a child or an instance")
	}
	return names, checkNames(names)
}

// why answers why the instances with a name are in their states.
func (s *Server) why(w http.ResponseWriter, q *http.Request) {
	ctx, cancel := context.WithTimeout(q.Context(), answerTimeout)
	defer cancel()
	names, err := givenNames(q)
	if err != nil {
		writeError(w, err)
		return
	}
	answer, err := s.opt.Explain(ctx, names)
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

package server

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"tp0/supervisor/api"
)

// logs answers with a stream of lines of the output of children.
func (s *Server) logs(w http.ResponseWriter, q *http.Request) {
	query, err := logQuery(q)
	if err != nil {
		writeError(w, err)
		return
	}
	if err := s.checkKnown(q.Context(), query.Names); err != nil {
		writeError(w, err)
		return
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
	if q.Method == http.MethodHead || out.start() != nil {
		return
	}
	_ = s.opt.Logs(ctx, query, func(l api.LogLine) error { return out.write(l) })
}

func logQuery(q *http.Request) (query api.LogQuery, err error) {
	values := q.URL.Query()
	query = api.LogQuery{
		Names: values["name"], Stream: values.Get("stream"), Last: -1,
		Previous: isSet(values, "previous"), Follow: isSet(values, "follow"),
	}
	if err := checkNames(query.Names); err != nil {
		return query, err
	}
	if query.Stream != "" && query.Stream != "stdout" && query.Stream != "stderr" {
		return query, badRequest("stream is %.40q: it must be stdout or stderr", query.Stream)
	}
	if query.Previous && query.Follow {
		return query, badRequest("previous and follow exclude each other")
	}
	if text := values.Get("last"); text != "" {
		if query.Last, err = strconv.Atoi(text); err != nil {
			return query, badRequest("last is %.40q: it must be a number of lines", text)
		}
	}
	if text := values.Get("since"); text != "" {
		if query.Since, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return query, badRequest("since is %.40q: it must be a time as in RFC 3339", text)
		}
	}
	return query, nil
}

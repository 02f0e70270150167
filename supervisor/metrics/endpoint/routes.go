package endpoint

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tp0/supervisor/fdledger"
	"tp0/supervisor/termtext"
)

// Limits of a connection.
const (
	headerTimeout = 2 * time.Second // from the connection, or the request, to the end of the header
	answerTimeout = 5 * time.Second // for the values of a scrape
	aliveTimeout  = 2 * time.Second // for a health check; probes give up after some seconds
	writeTimeout  = 10 * time.Second
	idleTimeout   = 2 * time.Minute // scrapes are usually 15 s to 1 min apart
	maxHeader     = 4 << 10         // bytes; net/http adds 4 KiB

	// finishTimeout is the time that requests get to end when the endpoint closes.
	finishTimeout = 100 * time.Millisecond
	// closeTimeout is the time for goroutines whose connection is closed.
	closeTimeout = time.Second
)

// The content types.
const (
	metricsType = "text/plain; version=0.0.4; charset=utf-8" // the text format of Prometheus
	textType    = "text/plain; charset=utf-8"
)

// Options are the parts that answer. Any goroutine may call the functions.
type Options struct {
	FDs fdledger.Registrar
	// Scrape reads the values of all metrics; write writes them.
	Scrape func(context.Context) (write func(io.Writer) error, err error)
	// Alive returns an error if the supervisor does not work any more.
	Alive func(context.Context) error
	// NotReady returns what is not ready, one line for each; none: everything is ready.
	NotReady func(context.Context) ([]string, error)
	// Answered is called after each answer whose connection stays open. It never waits.
	Answered func()
	// Warn reports that the address could not be changed.
	Warn func(error)
}

// handler answers requests.
type handler struct {
	Options
	conns *conns
}

// routes returns the handler of all requests, which come from these connections.
func routes(opt Options, all *conns) http.Handler {
	h := &handler{opt, all}
	mux := http.NewServeMux()
	mux.HandleFunc("/metrics", h.forGet(h.metrics))
	mux.HandleFunc("/healthz", h.forGet(h.health))
	mux.HandleFunc("/readyz", h.forGet(h.readiness))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusNotFound, "the paths are /metrics, /healthz and /readyz")
	})
	return mux
}

// forGet returns a handler that refuses all methods but GET and HEAD. A request without a body is
// complete when its header is read.
func (h *handler) forGet(handle http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		if q.Method != http.MethodGet && q.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			answer(w, http.StatusMethodNotAllowed,
				"the method is "+strconv.Quote(q.Method)+": it must be GET")
			return
		}
		c := connOf(q)
		h.conns.set(c, answering)
		defer h.conns.set(c, sending) // net/http sends the rest, and reads the body of a request
		handle(w, q)
	}
}

func connOf(q *http.Request) *conn { return q.Context().Value(connKey{}).(*conn) }

// answer answers with one or more lines of text.
func answer(w http.ResponseWriter, status int, lines ...string) {
	w.Header().Set("Content-Type", textType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, strings.Join(lines, "\n")+"\n")
}

func (h *handler) metrics(w http.ResponseWriter, q *http.Request) {
	ctx, cancel := context.WithTimeout(q.Context(), answerTimeout)
	defer cancel()
	c := connOf(q)
	evicted, ok := h.conns.beginScrape(c)
	if !ok {
		answer(w, http.StatusServiceUnavailable, "too many scrapes at a time")
		return
	}
	defer h.conns.endScrape(c)
	if evicted != nil {
		_ = evicted.Close()
	}
	write, err := h.Scrape(ctx)
	if err != nil {
		answer(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	w.Header().Set("Content-Type", metricsType)
	if q.Method == http.MethodGet {
		h.conns.set(c, sending)
		_ = write(w) // an error means that the client does not read any more
	}
}

func (h *handler) health(w http.ResponseWriter, q *http.Request) {
	ctx, cancel := context.WithTimeout(q.Context(), aliveTimeout)
	defer cancel()
	if err := h.Alive(ctx); err != nil {
		answer(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	answer(w, http.StatusOK, "ok")
}

// readiness answers with what is not ready. The names of instances and the reasons are untrusted.
func (h *handler) readiness(w http.ResponseWriter, q *http.Request) {
	ctx, cancel := context.WithTimeout(q.Context(), aliveTimeout)
	defer cancel()
	missing, err := h.NotReady(ctx)
	if err != nil {
		missing = []string{err.Error()}
	}
	if len(missing) == 0 {
		answer(w, http.StatusOK, "ok")
		return
	}
	for i := range missing {
		missing[i] = termtext.Escape(missing[i])
	}
	answer(w, http.StatusServiceUnavailable, missing...)
}

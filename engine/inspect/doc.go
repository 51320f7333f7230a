// Package inspect is a live page about engines: how full each limit is and when it opens,
// who waits, for what and behind whom, what is paused and halted, the connections, and,
// with an observer, the slowest and the last failed requests. It is an http.Handler, and
// nothing is there unless it is mounted:
//
//	page := inspect.New(inspect.Config{})
//	defer page.Close()
//	eng, err := engine.New(engine.Config{Observers: []engine.Observer{page.Observer()}, …})
//	page.Attach("trading", eng)
//	http.Handle("/debug/sluice/", page)
//
// It can be mounted under any path, at a folder ("/debug/sluice/") or at a name
// ("/debug/sluice"), with or without http.StripPrefix, and by another router than http.ServeMux
// too: under chi by Mount("/debug/sluice", page), or by Handle("/debug/sluice/*", page). A router
// that stands behind a pattern for all the rest itself, and tells none of its own, needs it at a
// folder: by that pattern a name looks like one of many within. Within a folder that
// http.Request.Pattern tells of, every name but state.json is not found, and every folder is the
// page. It looks only: whatever is not GET or HEAD is refused. There is no login. Who may see it
// is for whoever mounts it to say: put it behind an authenticating handler, or on a listener of
// 127.0.0.1.
//
// What it shows is what Engine.Stats, Engine.Waiting and errors tell: account labels, keys
// of limits, methods and paths, and never a query, a header, a body or a credential. An answer
// of 400 and above has not failed, and is counted apart, as an error answer: if most of the last
// requests ended so, that is said before anything else.
//
// In a browser it moves once a second by server-sent events. Without JavaScript it is the
// picture of one moment. For programs there is the same as JSON, at ?format=json or, in a
// folder, under the name state.json.
//
// While nobody looks nothing runs, and nothing is remembered, but for a
// Config.Background. One picture is taken for all who look, of Config.Rows rows for each
// table, in a time that does not grow with the number of limits' instances, requests or
// connections: see Engine.Glance and Engine.Waiting.
//
//	page.go     the handler: what is asked for, and what every answer says
//	viewers.go  who looks, and the one sampler for all of them
//	state.go    what is known at one moment
//	history.go  how full limits were, in buckets of time
//	record.go   slow and failed requests, from an observer
//	verdict.go  the state in one sentence
//	view.go     the state as headings, tables and texts, for the template and the script alike
//	draw.go     bars and lines, as geometry
//	page.html, page.css, page.js are embedded as they are
package inspect

// Package targets says what is sent: requests from flags, files, HARs, cassettes and logs,
// in chains whose steps use what earlier answers said, with values from data.
//
// A Plan is data. Prepare checks it and makes it ready; a Session is one arrival's way
// through it:
//
//	prepared, err := plan.Prepare()
//	var session targets.Session
//	prepared.Begin(&session, n)
//	for {
//		request, more, err := session.Next()
//		if err != nil || !more {
//			break
//		}
//		… send it …
//		err = session.Answered(status, header, body)
//	}
//
// # Formats
//
// ReadFile reads them all; Auto finds out by itself which one a file is in. A mistake is named
// with its file and its line.
//
// Vegeta: requests as vegeta's targets are written. A line of method and URL, lines of the
// header, and a line "@file" for a body; a blank line, or another line of method and URL, ends
// a request, and a line that begins with "#" is a comment. The file of a body is looked for from
// the current directory first, as vegeta does, and then from that of the targets.
//
//	# place an order
//	POST https://api.example.com/orders
//	Content-Type: application/json
//	@order.json
//
//	GET https://api.example.com/time
//
// JSONLines: an object a line, as vegeta's -format=json: {"method": "POST", "url": "…", "header":
// {"Accept": ["text/plain"]}, "body": "base64"}. Beside those of vegeta, a line may have the names
// "operation", "limit", "account", "key", "priority", "sign", "success" and "literal" of a Step.
//
// HAR: what a browser recorded, as HTTP Archive 1.2. Pseudo headers, those of the connection
// and what a client sets by itself are left out, and so are cookies and credentials unless they
// are asked for.
//
// Cassette: what go-vcr (versions 1 to 4), VCR or vcrpy recorded, as YAML or JSON.
//
// AccessLog: the common and the combined log format, of which a request has its method, its
// path and its time. A log has no bodies: so GET, HEAD and OPTIONS alone are taken unless
// Options.Methods says otherwise.
//
// Chains: a JSON document of chains of steps, in which a name that is not known is a mistake.
// "body" is a text or any JSON, which is sent as JSON; "body_file" and "data" are files, looked
// for from the directory of the document.
//
//	{
//	  "base": "https://api.example.com",
//	  "data": "symbols.csv",
//	  "chains": [
//	    {"name": "order", "weight": 3, "steps": [
//	      {"method": "POST", "url": "/orders", "body": {"symbol": "{{symbol}}"}, "sign": true, "limit": "orders",
//	       "save": [{"name": "id", "json": "order.id"}], "success": [200, 201]},
//	      {"method": "DELETE", "url": "/orders/{{id}}", "operation": "cancel", "priority": 400}
//	    ]},
//	    {"steps": [{"url": "/time"}]}
//	  ]
//	}
//
// Data is CSV with a line of names first, quoted as RFC 4180 says.
//
// HARs, cassettes and logs have instants too, for a schedule.Spec's Recorded: ReadFile returns
// them beside the Plan. What they were recorded with is sent as it is: "{{" is no template in it.
//
// # Templates
//
// {{name}} in a URL, a value of a header, a body, an account or a key stands for a value of the
// arrival's row of data, or one that an earlier step of its chain saved. In the path and the
// query of a URL every byte of a value is percent-encoded that is not unreserved; where a URL
// begins with one, the value is taken as it is, and where it is a host, only what a host may be
// is let through. In a header, a value that no header can have, with a line break in it, is an
// error. In a body of the type application/json, a value within a text is escaped as JSON's
// texts are; in one of application/x-www-form-urlencoded it is encoded as a form's values are;
// and in any other body it is taken as it is. A Step that is Literal has no templates.
package targets

"use strict";
// Draws what the server sends into the page that the server has rendered: the same elements as
// page.html makes. It decides nothing: texts and geometry come ready.
(() => {
	const svgSpace = "http://www.w3.org/2000/svg";

	// h makes an element. Attributes that are null or false are left out, and text is text.
	function h(name, attributes, ...children) {
		const drawn = name === "svg" || name === "rect" || name === "path" || name === "line";
		const e = drawn ? document.createElementNS(svgSpace, name) : document.createElement(name);
		for (const [key, value] of Object.entries(attributes || {}))
			if (value !== null && value !== undefined && value !== false) e.setAttribute(key, value);
		for (const child of children.flat())
			if (child !== null && child !== undefined && child !== "") e.append(child);
		return e;
	}

	// become makes an element what another one is, and touches only what differs: what is
	// focused or selected stays so.
	function become(is, wanted) {
		for (const a of [...is.attributes]) if (!wanted.hasAttribute(a.name)) is.removeAttribute(a.name);
		for (const a of wanted.attributes) if (is.getAttribute(a.name) !== a.value) is.setAttribute(a.name, a.value);
		for (const child of [...is.childNodes]) if (child.nodeType === Node.TEXT_NODE && !child.data.trim()) child.remove();
		const old = [...is.childNodes], young = [...wanted.childNodes];
		young.forEach((child, i) => {
			const before = old[i];
			if (!before) is.append(child);
			else if (before.nodeName !== child.nodeName) before.replaceWith(child);
			else if (child.nodeType === Node.TEXT_NODE) { if (before.data !== child.data) before.data = child.data; }
			else become(before, child);
		});
		old.slice(young.length).forEach((child) => child.remove());
	}

	const bar = (b) => b && h("svg", { class: "bar", role: "img", "aria-label": b.label, viewBox: "0 0 1000 10", preserveAspectRatio: "none" },
		h("rect", { class: "track", x: 0, width: 1000, height: 10 }),
		(b.parts || []).map((p) => h("rect", { class: p.class, x: p.x, width: p.w, height: 10 })),
		b.mark ? h("line", { class: "mark", x1: b.mark, x2: b.mark, y1: 0, y2: 10 }) : null);

	const spark = (s) => s && h("span", { class: "spark" },
		h("svg", { role: "img", "aria-label": s.label, viewBox: "0 0 120 24", preserveAspectRatio: "none" },
			h("path", { class: "area", d: s.area }), h("path", { class: "line", d: s.line })),
		h("small", { "aria-hidden": "true" }, h("span", null, s.high), h("span", null, s.low)));

	const inside = (c) => [bar(c.bar), spark(c.spark), c.text ? h("span", null, c.text) : null, c.note ? h("small", null, c.note) : null];

	function row(cells, columns) {
		return h("tr", { role: "row" }, cells.map((c, i) => {
			const about = { class: (columns[i].number ? "n" : "") + " " + (c.tone || ""), "data-name": columns[i].name };
			return i === 0 ? h("th", { role: "rowheader", scope: "row", ...about }, inside(c)) : h("td", { role: "cell", ...about }, inside(c));
		}));
	}

	function table(t) {
		const place = h("div", { class: "scroll " + t.id });
		if (!t.rows || t.rows.length === 0) {
			place.append(h("h3", null, t.caption), h("p", { class: "more" }, t.empty));
			return place;
		}
		const legend = t.legend && h("span", { class: "legend" }, t.legend.map((l) => h("span", null, h("i", { class: l.class }), l.name)));
		place.append(h("table", { role: "table" }, h("caption", null, t.caption, legend),
			h("thead", { role: "rowgroup" }, h("tr", { role: "row" },
				t.columns.map((c) => h("th", { role: "columnheader", scope: "col", class: c.number ? "n" : null }, c.name)))),
			h("tbody", { role: "rowgroup" }, t.rows.map((cells) => row(cells, t.columns)))));
		if (t.more) place.append(h("p", { class: "more" }, t.more));
		return place;
	}

	const section = (p) => h("section", { id: p.id, "aria-labelledby": p.id + "-name" },
		h("h2", { id: p.id + "-name" }, p.name), p.verdict ? h("p", { class: "part" }, p.verdict) : null,
		h("dl", { class: "facts" }, p.facts.map((f) => h("div", null, h("dt", null, f.name),
			h("dd", null, h("b", null, f.value), f.note ? h("small", null, f.note) : null, spark(f.spark))))),
		p.tables.map(table));

	const at = (id) => document.getElementById(id);
	const say = (id, text) => { if (at(id).textContent !== text) at(id).textContent = text; };

	function draw(view) {
		become(at("main"), h("main", { id: "main" }, (view.parts || []).map(section)));
		say("verdict", view.verdict);
		at("verdict").className = "verdict " + view.tone;
		say("at", view.at);
		speak(view);
	}

	// speak tells a screen reader of the verdict when the state has become another one, and not
	// more often than every half a minute.
	let toneSaid = null, saidAt = 0;
	function speak(view) {
		if (view.tone === toneSaid || Date.now() - saidAt < 30000) return;
		if (toneSaid !== null) say("said", view.verdict);
		toneSaid = view.tone;
		saidAt = Date.now();
	}

	let source = null, paused = false;
	function follow() {
		if (source || paused || document.hidden) return;
		source = new EventSource("?format=events");
		source.onopen = () => say("live", "live");
		source.onmessage = (event) => draw(JSON.parse(event.data));
		source.onerror = () => {
			const ended = source && source.readyState === EventSource.CLOSED;
			say("live", ended ? "not live: too many look, or the page has ended" : "not connected, trying again");
			if (ended) { source = null; setTimeout(follow, 15000); }
		};
	}
	function leave(why) {
		if (source) source.close();
		source = null;
		say("live", why);
	}
	at("pause").addEventListener("click", () => {
		paused = !paused;
		say("pause", paused ? "Go on" : "Pause");
		if (paused) leave("paused"); else follow();
	});
	document.addEventListener("visibilitychange", () => { if (document.hidden) leave("not live while hidden"); else follow(); });
	at("pause").hidden = false;
	at("refresh").hidden = true;
	follow();
})();

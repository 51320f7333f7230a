"use strict";
// Draws the charts whose data is in the page. It decides nothing: what is shown comes ready, and
// so does every sentence and table. A page that is live is sent both anew.
(() => {
	const root = document.documentElement, svgSpace = "http://www.w3.org/2000/svg";
	const states = new Map(); // charts that are drawn, by their ids
	const sorted = new Map(); // how tables are sorted, by their ids
	let printing = false;

	const color = (name) => getComputedStyle(root).getPropertyValue("--" + name).trim();
	const faint = (hex, alpha) => hex + Math.round(alpha * 255).toString(16).padStart(2, "0");

	function h(name, attributes, ...children) {
		const drawn = name === "svg" || name === "line" || name === "circle";
		const e = drawn ? document.createElementNS(svgSpace, name) : document.createElement(name);
		for (const [key, value] of Object.entries(attributes || {}))
			if (value !== null && value !== undefined && value !== false) e.setAttribute(key, value);
		e.append(...children);
		return e;
	}

	// Numbers with their units, as units.go writes them.

	function digits(x) {
		if (x === 0) return "0";
		const a = Math.abs(x);
		return x.toLocaleString("en-US", { maximumFractionDigits: a >= 99.95 ? 0 : Math.min(Math.max(2 - Math.floor(Math.log10(a)), 0), 9) });
	}

	function millis(ms) {
		if (ms === 0) return "0 ms";
		if (ms < 0.0009995) return digits(ms * 1e6) + " ns";
		if (ms < 0.9995) return digits(ms * 1000) + " µs";
		if (ms < 999.5) return digits(ms) + " ms";
		return digits(ms / 1000) + " s";
	}

	function bytes(n) {
		for (const unit of ["B", "kB", "MB", "GB"]) {
			if (n < 999.5) return digits(n) + " " + unit;
			n /= 1000;
		}
		return digits(n) + " TB";
	}

	function nines(x) {
		const rest = Math.pow(10, -x) * 100; // percent that are slower
		const places = Math.min(Math.max(0, 1 - Math.floor(Math.log10(rest) + 1e-9)), 9);
		return (100 - rest).toFixed(places).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "") + " %";
	}

	function moment(s) {
		if (s < 180) return digits(s) + " s";
		if (s < 10800 && s % 60 === 0) return s / 60 + " min";
		const parts = [[Math.floor(s / 3600), "h"], [Math.floor(s / 60) % 60, "min"], [Math.round(s % 60), "s"]];
		return parts.filter(([n]) => n > 0).map(([n, unit]) => n + " " + unit).join(" ");
	}

	function written(x, unit) {
		if (x === null || x === undefined) return "–";
		switch (unit) {
		case "ms": return millis(x);
		case "/s": return digits(x) + "/s";
		case "bytes": return bytes(x);
		case "nines": return nines(x);
		case "s": return moment(x);
		case "": return digits(x);
		}
		return digits(x) + " " + unit;
	}

	const incrementsOf = { s: [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800] };

	// A chart as uPlot wants it.

	const size = (s) => printing
		? { width: 660, height: s.chart.small ? 120 : 220 }
		: { width: Math.max(s.host.clientWidth, 200), height: s.chart.small ? (innerWidth < 640 ? 130 : 150) : (innerWidth < 640 ? 220 : 280) };

	// stack has lines stand on those before them that are shown.
	function stack(chart, hidden) {
		let sum = chart.at.map(() => 0);
		return chart.lines.map((l, i) => hidden.has(l.name) ? l.y : (sum = sum.map((below, j) => below + (chart.lines[i].y[j] || 0))));
	}

	// parts has the values of a chart as they are shown: as shares of their sum, if the reader wants that.
	const parts = (s) => {
		if (!s.shares) return s.chart;
		const sums = s.chart.at.map((_, j) => s.chart.lines.reduce((sum, l) => sum + (s.hidden.has(l.name) ? 0 : l.y[j] || 0), 0));
		return { ...s.chart, lines: s.chart.lines.map((l) => ({ ...l, y: l.y.map((y, j) => sums[j] > 0 ? 100 * y / sums[j] : y) })) };
	};
	const unitOf = (s, axis) => s.shares ? "%" : s.chart.y[axis || 0].unit;

	// dataOf is a chart as uPlot wants it. Steps go on to the end of their last stretch.
	function dataOf(s) {
		const at = s.chart.at, ys = s.chart.stacked ? stack(parts(s), s.hidden) : s.chart.lines.map((l) => l.y), all = [at, ...ys];
		if (!s.chart.lines.some((l) => l.shape === "step") || !(s.chart.x.most > at[at.length - 1])) return all;
		return all.map((y, i) => [...y, i === 0 ? s.chart.x.most : y[y.length - 1]]);
	}

	function seriesOf(s, l) {
		const stroke = color(l.color);
		const one = { label: l.name, scale: "y" + (l.axis || 0), stroke, width: l.wide || 1.5, dash: l.dash, show: !s.hidden.has(l.name), spanGaps: !s.chart.synced || s.chart.joined || false, points: { show: false } };
		if (s.chart.at.length < 2 || l.shape === "dots") Object.assign(one, { points: { show: true, size: l.shape === "dots" ? 5 : 7, stroke: faint(stroke, 0.75), fill: faint(stroke, 0.35), width: 1 } });
		if (l.shape === "dots") one.paths = () => null;
		if (l.shape === "step") one.paths = uPlot.paths.stepped({ align: 1 });
		if (l.shape === "bars") Object.assign(one, { paths: uPlot.paths.bars({ size: [0.7, 12, 3], align: 1 }), fill: faint(stroke, 0.45), width: 1, dash: undefined });
		return one;
	}

	function bandsOf(s) {
		const bands = [], lines = s.chart.lines;
		(s.chart.bands || []).forEach((name, i) => bands.push({ series: [i + 1, i + 2], fill: faint(color(name), i === 0 ? 0.07 : 0.16) }));
		if (s.chart.stacked) {
			let below = 0;
			lines.forEach((l, i) => {
				if (s.hidden.has(l.name)) return;
				if (below > 0) bands.push({ series: [i + 1, below], fill: faint(color(l.color), 0.8) });
				below = i + 1;
			});
		}
		return bands;
	}

	function rangeOf(s, i) {
		const y = s.chart.y[i];
		if (s.scale === "log" && y.scale) return (u, least, most) => most === null || !(most > 0) ? [0.1, 1] : uPlot.rangeLog(least > 0 ? least : most / 1000, most, 10, false);
		return (u, least, most) => s.shares ? [0, 100] : [0, Math.max((most || 0) * 1.06, y.most || 0) || 1];
	}

	// named are the ticks of a logarithmic axis that are drawn: the powers of ten, unless there
	// are few.
	function named(u, ticks) {
		const decades = Math.log10(ticks[ticks.length - 1] / ticks[0]);
		return ticks.map((t) => {
			const first = Math.round(t / Math.pow(10, Math.floor(Math.log10(t) + 1e-9)));
			return first === 1 || decades < 1.6 && (first === 2 || first === 5) ? t : null;
		});
	}

	// apart leaves out shares whose names would lie over the one before.
	function apart(ticks, place) {
		let free = -Infinity;
		return ticks.filter((t) => {
			const half = nines(t).length * 3.6, at = place(t);
			if (at - half < free) return false;
			free = at + half + 6;
			return true;
		});
	}

	// wide is how much room the numbers of an axis take: mostly the same, so that charts over time
	// stand exactly over one another.
	function wide(u, texts) {
		u.ctx.font = 12 * devicePixelRatio + "px system-ui, sans-serif";
		return Math.max(innerWidth < 640 ? 50 : 66, ...(texts || []).map((t) => u.ctx.measureText(t || "").width / devicePixelRatio + 12));
	}

	function axesOf(s) {
		const font = "12px system-ui, sans-serif", ink = color("quiet"), grid = { stroke: color("grid"), width: 1 }, x = s.chart.x;
		const usual = { stroke: ink, font, grid, ticks: { show: false }, gap: 6 };
		const across = { ...usual, size: 26, space: x.unit === "s" && ends(s).max >= 10800 ? 90 : 64, values: (u, ticks) => ticks.map((t) => t === null ? null : written(t, x.unit)) };
		if (incrementsOf[x.unit]) across.incrs = incrementsOf[x.unit];
		if (x.unit === "nines") across.splits = (u, i, least, most) => apart([0, Math.log10(2), 1, 2, 3, 4, 5, 6, 7, 8, 9].filter((t) => t >= least && t <= most), (t) => (t - least) / (most - least) * (u.width - 90));
		if (!printing && innerWidth >= 640) Object.assign(across, { label: x.label, labelSize: 20, labelFont: font, labelGap: 0 });
		return [across, ...s.chart.y.map((y, i) => ({
			...usual, scale: "y" + i, side: i === 0 ? 3 : 1, size: wide, space: s.chart.small ? 28 : 36, grid: i === 0 ? grid : { show: false },
			values: (u, ticks) => ticks.map((t) => t === null ? null : written(t, unitOf(s, i))),
			...(s.scale === "log" && y.scale ? { filter: named, grid: { ...grid, filter: named } } : {}),
		}))];
	}

	// shade marks stretches of the axis, as warm-up; named, it writes what they are.
	function shade(u, s, names) {
		const c = u.ctx;
		for (const r of s.chart.regions || []) {
			const from = Math.max(u.valToPos(r.from, "x", true), u.bbox.left), to = Math.min(u.valToPos(r.to, "x", true), u.bbox.left + u.bbox.width);
			if (to <= from) continue;
			c.save();
			c.fillStyle = color(names ? "quiet" : "shade");
			c.font = 11 * devicePixelRatio + "px system-ui, sans-serif";
			c.textBaseline = "top";
			c.textAlign = "left";
			if (!names) c.fillRect(from, u.bbox.top, to - from, u.bbox.height);
			else if (to - from > c.measureText(r.label).width + 8) c.fillText(r.label, from + 4, u.bbox.top + 4);
			c.restore();
		}
	}

	// ends are those of the whole axis.
	function ends(s) {
		const at = s.chart.at, min = at.length ? at[0] : 0, max = Math.max(at.length ? at[at.length - 1] : 1, s.chart.x.most || 0);
		return min < max ? { min, max } : { min: min - 1, max: max + 1 };
	}

	// across is what is shown of the axis: all of it, where all data are.
	function across(s, least, most) {
		const at = s.chart.at, all = ends(s);
		return least === null || least <= at[0] && most >= at[at.length - 1] ? [all.min, all.max] : [least, most];
	}

	function draw(s) {
		if (s.plot) s.plot.destroy();
		s.host.replaceChildren();
		s.zoomed = false;
		const x = s.chart.x, scales = { x: { time: false, range: (u, least, most) => across(s, least, most) } };
		s.chart.y.forEach((y, i) => { scales["y" + i] = { distr: s.scale === "log" && y.scale ? 3 : 1, range: rangeOf(s, i) }; });
		s.quiet = true;
		s.plot = new uPlot({
			...size(s), scales, padding: [10, s.chart.y.length > 1 ? 0 : (innerWidth < 640 ? 18 : 30) + (x.unit === "nines" ? 14 : 0), 0, 0], legend: { show: false },
			cursor: { y: false, drag: { x: true, y: false }, points: { size: 7 }, ...(s.chart.synced ? { sync: { key: "time", scales: ["x", null] } } : {}) },
			series: [{ label: x.label }, ...s.chart.lines.map((l, i) => {
				const one = seriesOf(s, l);
				if (s.chart.stacked && i === s.chart.lines.findIndex((o) => !s.hidden.has(o.name))) one.fill = faint(color(l.color), 0.8);
				return one;
			})],
			bands: bandsOf(s), axes: axesOf(s),
			hooks: { drawClear: [(u) => shade(u, s, false)], draw: [(u) => shade(u, s, true)], setCursor: [(u) => tell(s, u.cursor.idx)], setScale: [(u, key) => key === "x" && zoom(s, u)] },
		}, dataOf(s), s.host);
		queueMicrotask(() => { s.quiet = false; }); // uPlot tells of its first scales in a microtask
		tools(s);
	}

	// zoom has the other charts over time show the same stretch.
	function zoom(s, u) {
		const { min, max } = u.scales.x, at = s.chart.at;
		s.zoomed = at.length > 1 && (min > at[0] || max < at[at.length - 1]);
		if (s.all) s.all.hidden = !s.zoomed;
		if (s.quiet || !s.chart.synced) return;
		for (const o of states.values()) {
			if (o === s || !o.chart.synced || !o.plot) continue;
			const is = o.plot.scales.x, wanted = s.zoomed ? { min, max } : ends(o);
			if (is.min === wanted.min && is.max === wanted.max) continue;
			o.quiet = true; // it tells nobody in turn
			o.plot.setScale("x", wanted);
			queueMicrotask(() => { o.quiet = false; });
		}
	}

	function showAll(s) {
		s.plot.setScale("x", ends(s));
	}

	// tell writes the values under the cursor beside the names of their lines.
	function tell(s, index) {
		if (!s.values) return;
		const i = index === null || index === undefined ? index : Math.min(index, s.chart.at.length - 1);
		const there = i !== null && i !== undefined && s.chart.at.length > 0, shown = there && s.shares ? parts(s) : s.chart;
		s.when.textContent = there ? written(s.chart.at[i], s.chart.x.unit) : "";
		s.values.forEach((b, n) => { b.textContent = there ? written(shown.lines[n].y[i], unitOf(s, shown.lines[n].axis)) : ""; });
		if (there && s.slider) {
			s.slider.value = i;
			if (document.activeElement === s.slider)
				s.slider.setAttribute("aria-valuetext", [s.when.textContent, ...s.chart.lines.map((l, n) => l.name + " " + s.values[n].textContent)].join(", "));
		}
	}

	function swatch(l, stacked) {
		const stroke = color(l.color);
		const inside = l.shape === "dots" ? h("circle", { cx: 11, cy: 5, r: 3.5, fill: stroke }) : h("line", { x1: 1, x2: 21, y1: 5, y2: 5, stroke, "stroke-width": stacked || l.shape === "bars" ? 9 : Math.max(l.wide || 1.5, 2), "stroke-dasharray": (l.dash || []).join(" ") || null });
		return h("svg", { viewBox: "0 0 22 10", "aria-hidden": "true" }, inside);
	}

	// tools are the names of the lines, which hide and show them, and the choice of a scale.
	function tools(s) {
		const place = s.host.parentElement.querySelector(".tools"), focused = place.contains(document.activeElement) ? document.activeElement.dataset.name : null;
		s.when = h("span", { class: "when" });
		s.values = [];
		const names = h("span"), right = h("span");
		for (const l of s.chart.lines) {
			const value = h("b"), button = h("button", { type: "button", "aria-pressed": String(!s.hidden.has(l.name)), "data-name": "line " + l.name }, swatch(l, s.chart.stacked), l.name + (l.axis ? " (right)" : ""), value);
			button.addEventListener("click", () => { if (!s.hidden.delete(l.name)) s.hidden.add(l.name); draw(s); });
			s.values.push(value);
			names.append(button);
		}
		names.append(s.when);
		s.all = h("button", { type: "button", class: "plain", "data-name": "all" }, "Show all");
		s.all.hidden = true;
		s.all.addEventListener("click", () => { showAll(s); s.slider.focus(); });
		right.append(s.all);
		if (s.chart.y.some((y) => y.scale)) {
			const other = h("button", { type: "button", class: "plain", "data-name": "scale" }, s.scale === "log" ? "Linear scale" : "Logarithmic scale");
			other.addEventListener("click", () => { s.scale = s.scale === "log" ? "linear" : "log"; draw(s); });
			right.append(other);
		}
		if (s.chart.shares) {
			const other = h("button", { type: "button", class: "plain", "data-name": "shares" }, s.shares ? "As times" : "As shares");
			other.addEventListener("click", () => { s.shares = !s.shares; draw(s); });
			right.append(other);
		}
		place.replaceChildren(names, right);
		if (focused) place.querySelector(`[data-name="${CSS.escape(focused)}"]`)?.focus();
		reach(s);
	}

	// reach is how a keyboard moves the cursor: arrows, Page, Home and End, as a slider has them.
	function reach(s) {
		const place = s.host.parentElement.querySelector(".reach");
		if (!s.slider || !place.contains(s.slider)) {
			s.slider = h("input", { type: "range", min: 0, "aria-label": "Move through: " + s.chart.label });
			s.slider.addEventListener("input", () => point(s, Number(s.slider.value)));
			s.slider.addEventListener("focus", () => point(s, Number(s.slider.value)));
			s.slider.addEventListener("blur", () => s.plot.setCursor({ left: -10, top: -10 }, true, true));
			place.replaceChildren(s.slider);
		}
		s.slider.max = Math.max(s.chart.at.length - 1, 0);
	}

	function point(s, i) {
		s.plot.setCursor({ left: s.plot.valToPos(s.chart.at[i], "x"), top: s.plot.over.clientHeight / 2 }, true, true);
	}

	// Tables that sort: numbers from high to low first, texts from A to Z.

	function sortable(table) {
		[...table.tHead.rows[0].cells].forEach((th, i) => {
			if (th.querySelector("button")) return;
			const button = h("button", { type: "button" }, th.textContent);
			th.replaceChildren(button);
			button.addEventListener("click", () => {
				const is = sorted.get(table.id), first = th.classList.contains("n") ? "descending" : "ascending";
				sorted.set(table.id, { column: i, way: is && is.column === i ? (is.way === "ascending" ? "descending" : "ascending") : first });
				sort(table);
			});
		});
		if (sorted.has(table.id)) sort(table);
	}

	function sort(table) {
		const { column, way } = sorted.get(table.id), sign = way === "ascending" ? 1 : -1, body = table.tBodies[0];
		const key = (row) => row.cells[column].dataset.sort;
		const rows = [...body.rows].sort((a, b) => sign * (key(a) !== undefined ? Number(key(a)) - Number(key(b)) : a.cells[column].textContent.localeCompare(b.cells[column].textContent, "en", { numeric: true })));
		body.append(...rows);
		[...table.tHead.rows[0].cells].forEach((th, i) => i === column ? th.setAttribute("aria-sort", way) : th.removeAttribute("aria-sort"));
	}

	const sortables = () => document.querySelectorAll("table[data-sorts]").forEach(sortable);

	// show draws charts, and keeps of those that are drawn already what the reader chose.
	function show(charts) {
		const there = new Set(charts.map((c) => c.id));
		for (const [id, s] of states)
			if (!there.has(id)) { if (s.plot) s.plot.destroy(); states.delete(id); }
		for (const chart of charts) {
			const host = document.getElementById(chart.id);
			if (!host) continue;
			const s = states.get(chart.id) || { hidden: new Set(), scale: chart.y.some((y) => y.scale === "log") ? "log" : "linear" };
			const same = s.plot && s.host === host && host.contains(s.plot.root) && shapeOf(s.chart) === shapeOf(chart) && s.chart.at.length > 1;
			Object.assign(s, { chart, host });
			states.set(chart.id, s);
			if (!same) { draw(s); continue; }
			s.quiet = true;
			s.plot.setData(dataOf(s), !s.zoomed);
			if (s.zoomed) s.plot.redraw();
			queueMicrotask(() => { s.quiet = false; });
			s.slider.max = Math.max(chart.at.length - 1, 0);
		}
	}

	const shapeOf = (c) => JSON.stringify([c.lines.map((l) => [l.name, l.color]), c.y, c.bands]);

	const redraw = () => states.forEach(draw);

	// print opens everything and draws it for paper, in light colours whatever the screen has.
	function print(on) {
		if (on === printing) return;
		printing = on;
		root.classList.toggle("printing", on);
		for (const d of document.querySelectorAll("details")) {
			if (on) { d.dataset.was = d.open ? "open" : ""; d.open = true; }
			else { d.open = d.dataset.was === "open"; delete d.dataset.was; }
		}
		redraw();
	}

	function unavailable(why) {
		for (const place of document.querySelectorAll(".plot"))
			if (!place.firstChild) place.append(h("p", { class: "empty" }, "The chart cannot be drawn: " + why + " The sentence above and the numbers below say what it shows."));
	}

	async function unpack(text) {
		const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
		return await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
	}

	async function start() {
		sortables();
		matchMedia("print").addEventListener("change", (e) => print(e.matches));
		addEventListener("beforeprint", () => print(true));
		addEventListener("afterprint", () => print(false));
		if (typeof DecompressionStream === "undefined") {
			unavailable("this browser cannot unpack its data, for which it needs DecompressionStream; a newer one can.");
			return;
		}
		if (matchMedia("print").matches) print(true);
		try {
			show(await unpack(document.getElementById("data").textContent));
		} catch (e) {
			unavailable("its data is damaged (" + e.message + ").");
			return;
		}
		matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
		new ResizeObserver(() => {
			if (!printing) for (const s of states.values()) if (s.plot.width !== size(s).width) s.plot.setSize(size(s));
		}).observe(document.getElementById("main"));
		document.addEventListener("keydown", (e) => {
			if (e.key === "Escape") for (const s of states.values()) if (s.zoomed) { showAll(s); if (s.chart.synced) break; }
		});
		root.dataset.drawn = String(states.size);
		if ("live" in document.body.dataset) follow();
	}

	// A page that is live.

	// become makes an element what another one is, and touches only what differs: what is
	// focused, selected or opened stays so, and what was drawn into it.
	function become(is, wanted) {
		for (const a of [...is.attributes]) if (!wanted.hasAttribute(a.name) && a.name !== "open" && a.name !== "aria-sort") is.removeAttribute(a.name);
		for (const a of wanted.attributes) if (is.getAttribute(a.name) !== a.value) is.setAttribute(a.name, a.value);
		if (wanted.hasAttribute("data-keep")) return;
		if (is.nodeName === "TH" && is.firstElementChild && is.firstElementChild.nodeName === "BUTTON") { is.firstElementChild.textContent = wanted.textContent; return; }
		const old = [...is.childNodes], young = [...wanted.childNodes];
		young.forEach((child, i) => {
			const before = old[i];
			if (!before) is.append(child);
			else if (before.nodeName !== child.nodeName) before.replaceWith(child);
			else if (child.nodeType === Node.TEXT_NODE) { if (before.data !== child.data) before.data = child.data; }
			else if (child.nodeType === Node.ELEMENT_NODE) become(before, child);
		});
		old.slice(young.length).forEach((child) => child.remove());
	}

	function follow() {
		const live = document.getElementById("live"), said = document.getElementById("said"), main = document.getElementById("main");
		const events = new EventSource("?format=events");
		live.textContent = "connecting";
		events.onopen = () => { live.textContent = "live"; };
		events.onerror = () => { live.textContent = events.readyState === EventSource.CLOSED ? "The run does not send any more: what is shown is as it was last." : "The connection is lost; it is tried again."; };
		const take = (e) => {
			const picture = JSON.parse(e.data), parsed = h("template");
			parsed.innerHTML = picture.html;
			const wanted = h("main");
			wanted.append(parsed.content);
			for (const a of main.attributes) wanted.setAttribute(a.name, a.value);
			become(main, wanted);
			sortables();
			show(picture.charts);
			if (said.textContent !== picture.said) said.textContent = picture.said;
			live.textContent = "live";
			root.dataset.pictures = String(Number(root.dataset.pictures || 0) + 1);
		};
		events.onmessage = take;
		events.addEventListener("end", (e) => {
			events.close();
			take(e);
			live.textContent = "The run has ended.";
		});
	}

	start();
})();

"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const layers = data.layers;
  const shapes = [data.input, ...layers.map((layer) => layer.shape)];
  const say = (key, values = {}) => data.say[key].replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
  const SHOWN = 3; // channels of a window
  const SIDE = 7; // rows and columns of a window
  const TERMS = 8; // of a long sum
  let unit = null; // {place, channel, y, x}

  // Numbers

  const arrays = new Map();

  async function unpack(id) {
    const bytes = Uint8Array.from(atob(byId(id).textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    const planes = new Uint8Array(await new Response(stream).arrayBuffer());
    const count = planes.length / 4;
    const together = new Uint8Array(planes.length);
    for (let plane = 0; plane < 4; plane++) {
      for (let i = 0; i < count; i++) together[4 * i + plane] = planes[plane * count + i];
    }
    return new Float32Array(together.buffer);
  }

  function array(id) {
    if (!arrays.has(id)) arrays.set(id, byId(id) ? unpack(id) : Promise.resolve(null));
    return arrays.get(id);
  }

  function short(value) {
    if (!Number.isFinite(value)) return String(value);
    if (Number.isInteger(value) && Math.abs(value) < 1e7) return String(value === 0 ? 0 : value);
    const size = Math.abs(value);
    return size >= 1e-3 && size < 1e5 ? String(Number(value.toPrecision(4))) : value.toExponential(2);
  }

  // Three figures, where there is little room
  function brief(value) {
    const size = Math.abs(value);
    if (!Number.isFinite(value) || Number.isInteger(value) || size < 1e-3 || size >= 1e5) return short(value);
    return String(Number(value.toPrecision(size < 0.01 ? 2 : 3)));
  }

  function at(values, shape, y, x, c) {
    if (y < 0 || x < 0 || y >= shape[0] || x >= shape[1]) return null;
    return values[(y * shape[1] + x) * shape[2] + c];
  }

  // Which of `size` pixels stands at a place that may lie outside of them
  function source(i, size, border) {
    if (border === "zero" || (i >= 0 && i < size)) return i;
    if (border === "replicate") return Math.min(Math.max(i, 0), size - 1);
    const round = (by) => ((i % by) + by) % by;
    if (border === "wrap") return round(size);
    const edge = border === "mirror" ? 1 : 0;
    const place = round(Math.max(1, 2 * size - 2 * edge));
    return place < size ? place : 2 * size - 1 - edge - place;
  }

  // What a unit sees

  function axis(layer, shape, places, which) {
    const found = new Set();
    for (const place of places) {
      if (layer.cells) {
        const [first, last] = layer.cells[which][place];
        for (let i = first; i < last; i++) found.add(i);
        continue;
      }
      for (let k = 0; k < layer.kernel[which]; k++) {
        const i = source(place * layer.stride[which] - layer.padding[which] + k * layer.dilation[which], shape[which], layer.border);
        if (i >= 0 && i < shape[which]) found.add(i);
      }
    }
    return found;
  }

  function spans(layer, part) {
    const rule = layer.rule;
    const channels = shapes[layer.inputs[0]][2];
    const { first, last } = part;
    if (rule.kind === "same") return layer.inputs.map((_, source) => [source, first, last]);
    if (rule.kind === "concat") {
      const both = [[0, first, Math.min(last, channels)], [1, Math.max(first, channels) - channels, last - channels]];
      return both.filter(([, from, to]) => from < to);
    }
    if (rule.kind === "near") {
      const half = Math.floor(rule.size / 2);
      return [[0, Math.max(0, first - half), Math.min(channels, last - 1 - half + rule.size)]];
    }
    if (rule.kind === "groups") {
      const group = (c) => Math.floor(c / rule.outputs);
      return [[0, group(first) * rule.inputs, (group(last - 1) + 1) * rule.inputs]];
    }
    return [[0, 0, channels]];
  }

  function through(layer, part) {
    const shape = shapes[layer.inputs[0]];
    if (layer.word === "flatten" && part.last - part.first === 1) {
      const c = part.first % shape[2];
      const place = Math.floor(part.first / shape[2]);
      const rows = new Set([Math.floor(place / shape[1])]);
      return [[0, { rows, columns: new Set([place % shape[1]]), first: c, last: c + 1 }]];
    }
    const rows = axis(layer, shape, part.rows, 0);
    const columns = axis(layer, shape, part.columns, 1);
    return spans(layer, part).map(([source, first, last]) => [source, { rows, columns, first, last }]);
  }

  const within = (inner, outer) => [...inner].every((i) => outer.has(i));
  const holds = (part, other) => part.first <= other.first && other.last <= part.last
    && within(other.rows, part.rows) && within(other.columns, part.columns);

  function seen({ place, channel, y, x }) {
    const waiting = shapes.map(() => []);
    waiting[place].push({ rows: new Set([y]), columns: new Set([x]), first: channel, last: channel + 1 });
    for (let node = place; node > 0; node--) {
      const layer = layers[node - 1];
      for (const part of waiting[node]) {
        for (const [source, before] of through(layer, part)) {
          const input = layer.inputs[source];
          if (waiting[input].some((other) => holds(other, before))) continue;
          waiting[input] = waiting[input].filter((other) => !holds(before, other));
          waiting[input].push(before);
        }
      }
    }
    return waiting[0];
  }

  // Pictures

  const tables = { plain: data.colours.plain, signed: data.colours.signed };

  function pixels(canvas, height, width, colour) {
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d");
    const image = context.createImageData(width, height);
    for (let i = 0; i < height * width; i++) image.data.set(colour(i), 4 * i);
    context.putImageData(image, 0, 0);
  }

  function coloured(value, top, signed) {
    const share = signed ? (value / top + 1) / 2 : value / top;
    const step = Number.isNaN(share) ? 256 : Math.max(0, Math.min(255, Math.round(255 * share)));
    const table = signed ? tables.signed : tables.plain;
    return [table[3 * step], table[3 * step + 1], table[3 * step + 2], 255];
  }

  async function paintMap(canvas, place, channel) {
    const layer = layers[place - 1];
    const [height, width, channels] = layer.shape;
    const values = await array(`v${place}`);
    const top = layer.tops[layer.channels.indexOf(channel)];
    pixels(canvas, height, width, (i) => coloured(values[i * channels + channel], top, layer.signed));
  }

  function extent(values, channel, channels) {
    let low = Infinity;
    let high = -Infinity;
    for (let i = channel; i < values.length; i += channels) {
      low = Math.min(low, values[i]);
      high = Math.max(high, values[i]);
    }
    return [low, high];
  }

  async function paintImage() {
    const [height, width, channels] = data.input;
    const values = await array("v0");
    let low = 0;
    let high = 1;
    for (const value of values) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    const level = (value) => 255 * (value - low) / (high - low);
    pixels(byId("image"), height, width, (i) => {
      if (channels === 3) return [0, 1, 2].map((c) => level(values[3 * i + c])).concat(255);
      let sum = 0;
      for (let c = 0; c < channels; c++) sum += values[i * channels + c];
      return [...Array(3).fill(level(sum / channels)), 255];
    });
    pixels(byId("field"), height, width, () => [0, 0, 0, 0]);
  }

  async function paintFilters(section, layer) {
    const room = section.querySelector(".filters");
    const weights = room && await array(`w${layer.place}`);
    if (!weights) {
      if (room) room.previousElementSibling.remove();
      return;
    }
    const size = weights.length / layer.filters.length;
    const [kh, kw] = layer.kernel;
    const depth = size / (kh * kw);
    layer.filters.forEach((filter, place) => {
      const own = weights.subarray(place * size, (place + 1) * size);
      const top = own.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
      const figure = document.createElement("figure");
      const canvas = document.createElement("canvas");
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", say("filter", { index: filter }));
      if (kh * kw === 1) {
        const across = Math.ceil(Math.sqrt(depth));
        pixels(canvas, Math.ceil(depth / across), across, (i) => coloured(i < depth ? own[i] : NaN, top, true));
      } else if (depth === 3) {
        pixels(canvas, kh, kw, (i) => [0, 1, 2].map((c) => 127.5 + 127.5 * own[3 * i + c] / top).concat(255));
      } else {
        const means = Array.from({ length: kh * kw }, (_, i) => {
          let sum = 0;
          for (let c = 0; c < depth; c++) sum += own[i * depth + c];
          return sum / depth;
        });
        const most = Math.max(...means.map(Math.abs)) || 1;
        pixels(canvas, kh, kw, (i) => coloured(means[i], most, true));
      }
      figure.append(canvas, String(filter));
      room.append(figure);
    });
  }

  // The numbers of a unit

  const make = (name, text, className) => {
    const element = document.createElement(name);
    if (text !== undefined) element.textContent = text;
    if (className) element.className = className;
    return element;
  };

  function windowOf(layer, y, x) {
    const shape = shapes[layer.inputs[0]];
    const list = (which, place) => {
      if (layer.cells) {
        const [first, last] = layer.cells[which][place];
        return Array.from({ length: last - first }, (_, i) => first + i);
      }
      const start = place * layer.stride[which] - layer.padding[which];
      return Array.from({ length: layer.kernel[which] }, (_, k) => source(start + k * layer.dilation[which], shape[which], layer.border));
    };
    return { rows: list(0, y), columns: list(1, x), shape };
  }

  // The middle of a window that is too large to be shown
  function middle(size) {
    const first = Math.max(0, Math.floor((size - SIDE) / 2));
    return [first, Math.min(size, first + SIDE)];
  }

  function grid(title, rows, columns, number, best) {
    const box = make("div");
    box.append(make("h3", title));
    const table = make("table");
    const [top, bottom] = middle(rows);
    const [left, right] = middle(columns);
    for (let y = top; y < bottom; y++) {
      const line = table.insertRow();
      for (let x = left; x < right; x++) {
        const value = number(y, x);
        const cell = line.insertCell();
        cell.textContent = value === null ? "·" : brief(value);
        if (value === null) cell.className = "out";
        if (best && best[0] === y && best[1] === x) cell.className = "best";
      }
    }
    box.append(table);
    if (rows > SIDE || columns > SIDE) box.append(make("p", say("elements"), "note"));
    return box;
  }

  function sumText(terms, total) {
    const shown = terms.slice(0, TERMS).map((term, i) => (i && term >= 0 ? `+ ${short(term)}` : short(term).replace(/^-/, i ? "- " : "-")));
    if (terms.length > TERMS) shown.push("+ …");
    return `${shown.join(" ")} = ${short(total)}`;
  }

  function three(parts) {
    const row = make("div", undefined, "three");
    row.append(...parts);
    return row;
  }

  function convolved(lying, weight, value, depth) {
    const { rows, columns } = lying;
    const sums = [];
    for (let k = 0; k < depth; k++) {
      let sum = 0;
      rows.forEach((_, ky) => columns.forEach((__, kx) => { sum += (value(ky, kx, k) ?? 0) * weight(ky, kx, k); }));
      sums.push(sum);
    }
    return sums;
  }

  function channelGrids(lying, value, weight, channel, name) {
    const [kh, kw] = [lying.rows.length, lying.columns.length];
    return three([
      grid(say("window", { index: name }), kh, kw, (y, x) => value(y, x, channel)),
      grid(say("weights", { index: name }), kh, kw, (y, x) => weight(y, x, channel)),
      grid(say("products", { index: name }), kh, kw, (y, x) => (value(y, x, channel) ?? 0) * weight(y, x, channel)),
    ]);
  }

  const KINDS = {
    async conv(layer, { y, x, channel }) {
      const [values, weights] = await Promise.all([array(`v${layer.inputs[0]}`), array(`w${layer.place}`)]);
      const place = layer.filters.indexOf(channel);
      const lying = windowOf(layer, y, x);
      const groups = layer.rule.kind === "groups" ? layer.rule : null;
      const first = groups ? Math.floor(channel / groups.outputs) * groups.inputs : 0;
      const value = (ky, kx, k) => at(values, lying.shape, lying.rows[ky], lying.columns[kx], first + k);
      if (!weights || place < 0) {
        return { parts: [grid(say("window", { index: first }), lying.rows.length, lying.columns.length, (ky, kx) => value(ky, kx, 0)),
          make("p", say("left_out"), "note")] };
      }
      const size = weights.length / layer.filters.length;
      const [kh, kw] = layer.kernel;
      const depth = size / (kh * kw);
      const weight = (ky, kx, k) => weights[place * size + (ky * kw + kx) * depth + k];
      const sums = convolved(lying, weight, value, depth);
      const order = sums.map((_, k) => k).sort((a, b) => Math.abs(sums[b]) - Math.abs(sums[a])).slice(0, SHOWN).sort((a, b) => a - b);
      const bias = layer.bias ? layer.bias[channel] : 0;
      const total = sums.reduce((sum, term) => sum + term, bias);
      const terms = depth > TERMS ? [...order.map((k) => sums[k])] : [...sums];
      if (depth > TERMS) terms.push(total - bias - terms.reduce((sum, term) => sum + term, 0));
      if (layer.bias) terms.push(bias);
      const parts = [make("h3", layer.bias ? `${say("sums")} + ${say("bias")}` : say("sums")), make("p", sumText(terms, total), "sum")];
      if (depth > SHOWN) parts.push(make("p", say("strongest", { shown: SHOWN, count: depth }), "note"));
      parts.push(...order.map((k) => channelGrids(lying, value, weight, k, first + k)));
      return { parts, total };
    },
    async bank(layer, { y, x, channel }) {
      const [values, weights] = await Promise.all([array(`v${layer.inputs[0]}`), array(`w${layer.place}`)]);
      const lying = windowOf(layer, y, x);
      const own = channel % layer.outputs;
      const source = Math.floor(channel / layer.outputs);
      const depth = lying.shape[2];
      const value = (ky, kx) => {
        if (at(values, lying.shape, lying.rows[ky], lying.columns[kx], 0) === null) return null;
        if (layer.per_channel) return at(values, lying.shape, lying.rows[ky], lying.columns[kx], source);
        let sum = 0;
        for (let c = 0; c < depth; c++) sum += at(values, lying.shape, lying.rows[ky], lying.columns[kx], c);
        return sum / depth;
      };
      const members = layer.groups ? layer.groups[own] : [own];
      if (!weights || members.some((member) => !layer.filters.includes(member))) {
        return { parts: [grid(say("window", { index: source }), lying.rows.length, lying.columns.length, value), make("p", say("left_out"), "note")] };
      }
      const size = weights.length / layer.filters.length;
      const weightOf = (member) => (ky, kx) => weights[layer.filters.indexOf(member) * size + ky * layer.kernel[1] + kx];
      const responses = members.map((member) => convolved(lying, weightOf(member), value, 1)[0]);
      const sizes = responses.map(Math.abs);
      const best = sizes.indexOf(Math.max(...sizes));
      const how = layer.hows ? layer.hows[own] : null;
      let total = responses[0];
      if (how === "modulus") total = Math.hypot(...responses);
      if (how === "absmax") total = Math.max(...sizes);
      if (how === "max") total = Math.max(...responses);
      const parts = [channelGrids(lying, value, weightOf(members[best]), 0, layer.per_channel ? source : 0)];
      if (how) parts.push(make("p", `${how}(${responses.slice(0, TERMS).map(short).join(", ")}${responses.length > TERMS ? ", …" : ""}) = ${short(total)}`, "sum"));
      else parts.push(make("p", `${say("sum")} = ${short(total)}`, "sum"));
      return { parts, total };
    },
    async fc(layer, { channel }) {
      const [values, weights] = await Promise.all([array(`v${layer.inputs[0]}`), array(`w${layer.place}`)]);
      const place = layer.filters.indexOf(channel);
      const shape = shapes[layer.inputs[0]];
      if (!weights || place < 0) return { parts: [make("p", say("left_out"), "note")] };
      const size = values.length;
      const products = Array.from(values, (value, i) => value * weights[place * size + i]);
      const order = products.map((_, i) => i).sort((a, b) => Math.abs(products[b]) - Math.abs(products[a])).slice(0, TERMS - 1);
      const bias = layer.bias ? layer.bias[channel] : 0;
      const total = products.reduce((sum, term) => sum + term, bias);
      const parts = order.map((i) => {
        const pixel = Math.floor(i / shape[2]);
        const where = `(${Math.floor(pixel / shape[1])}, ${pixel % shape[1]}, ${i % shape[2]})`;
        return make("p", `${where}: ${short(values[i])} × ${short(weights[place * size + i])} = ${short(products[i])}`, "sum");
      });
      parts.unshift(make("p", say("strongest_products", { shown: order.length, count: size }), "note"));
      const shown = order.reduce((sum, i) => sum + products[i], 0);
      parts.push(make("p", sumText([shown, total - bias - shown, ...(layer.bias ? [bias] : [])], total), "sum"));
      return { parts, total };
    },
    async pool(layer, { y, x, channel }) {
      const values = await array(`v${layer.inputs[0]}`);
      const lying = windowOf(layer, y, x);
      const value = (ky, kx) => at(values, lying.shape, lying.rows[ky], lying.columns[kx], channel);
      let best = null;
      let most = -Infinity;
      let sum = 0;
      let squares = 0;
      let count = 0;
      lying.rows.forEach((_, ky) => lying.columns.forEach((__, kx) => {
        const number = value(ky, kx);
        if (number === null) return;
        if (number > most) { most = number; best = [ky, kx]; }
        sum += number;
        squares += number * number;
        count += 1;
      }));
      if (layer.sizes) count = layer.sizes[0][y] * layer.sizes[1][x];
      const how = layer.how;
      const totals = { max: most, avg: sum / count, l2: Math.sqrt(squares), sum };
      const words = { max: `max = ${short(most)}`, avg: `${short(sum)} / ${short(count)} = ${short(sum / count)}`,
        l2: `√${short(squares)} = ${short(Math.sqrt(squares))}`, sum: `${say("sum")} = ${short(sum)}` };
      const shown = grid(say("window", { index: channel }), lying.rows.length, lying.columns.length, value, how === "max" ? best : null);
      return { parts: [shown, make("p", words[how], "sum")], total: totals[how] };
    },
    async batchnorm(layer, { y, x, channel }) {
      const values = await array(`v${layer.inputs[0]}`);
      const number = at(values, shapes[layer.inputs[0]], y, x, channel);
      const [mean, variance, gamma, beta] = [layer.mean, layer.var, layer.gamma, layer.beta].map((list) => list[channel]);
      const total = gamma * (number - mean) / Math.sqrt(variance + layer.eps) + beta;
      const words = `${short(gamma)} × (${short(number)} − ${short(mean)}) / √(${short(variance)} + ${short(layer.eps)}) + ${short(beta)} = ${short(total)}`;
      return { parts: [make("p", "gamma (x − mean) / √(var + eps) + beta", "sum"), make("p", words, "sum")], total };
    },
    async affine(layer, { y, x, channel }) {
      const values = await array(`v${layer.inputs[0]}`);
      const shape = shapes[layer.inputs[0]];
      if (!layer.matrix) return KINDS.pixel(layer, { y, x, channel });
      const pixel = layer.matrix.map((_, k) => at(values, shape, y, x, k));
      const terms = pixel.map((number, k) => (number - layer.mean[k]) * layer.matrix[k][channel]);
      const total = terms.reduce((sum, term) => sum + term, 0);
      const kept = terms.map((_, k) => k).filter((k) => layer.matrix[k][channel] !== 0).slice(0, TERMS);
      const parts = kept.map((k) => make("p", `(${short(pixel[k])} − ${short(layer.mean[k])}) × ${short(layer.matrix[k][channel])} = ${short(terms[k])}`, "sum"));
      parts.push(make("p", sumText(kept.length < terms.length ? kept.map((k) => terms[k]) : terms, total), "sum"));
      return { parts, total };
    },
    async function(layer, { y, x, channel }) {
      const values = await array(`v${layer.inputs[0]}`);
      const number = at(values, shapes[layer.inputs[0]], y, x, channel);
      const constants = Object.entries(layer.constants).map(([name, value]) => `, ${name} = ${value}`).join("");
      return { parts: [make("p", `y = ${layer.formula}`, "sum"), make("p", `x = ${short(number)}${constants}`, "sum")] };
    },
    async add(layer, { y, x, channel }) {
      const both = await Promise.all(layer.inputs.map((input) => array(`v${input}`)));
      const terms = both.map((values, i) => at(values, shapes[layer.inputs[i]], y, x, channel));
      const total = terms[0] + terms[1];
      return { parts: [make("p", sumText(terms, total), "sum")], total };
    },
    async concat(layer, { channel }) {
      const first = layer.rule.first;
      const own = channel < first;
      const row = layer.inputs[own ? 0 : 1];
      const name = row ? `#${layers[row - 1].row}` : say("input");
      return { parts: [make("p", `${name}, ${say("channel", { index: own ? channel : channel - first })}`, "sum")] };
    },
    async flatten(layer, { channel }) {
      const [, width, channels] = shapes[layer.inputs[0]];
      const pixel = Math.floor(channel / channels);
      const where = [Math.floor(pixel / width), pixel % width, channel % channels];
      return { parts: [make("p", `(${where[0]} × ${width} + ${where[1]}) × ${channels} + ${where[2]} = ${channel}`, "sum")] };
    },
    async softmax(layer, { y, x, channel }) {
      const values = await array(`v${layer.inputs[0]}`);
      const shape = shapes[layer.inputs[0]];
      const pixel = Array.from({ length: shape[2] }, (_, k) => at(values, shape, y, x, k));
      const most = Math.max(...pixel);
      const sum = pixel.reduce((total, number) => total + Math.exp(number - most), 0);
      const total = Math.exp(pixel[channel] - most) / sum;
      return { parts: [make("p", `exp(${short(pixel[channel])} − ${short(most)}) / ${short(sum)} = ${short(total)}`, "sum")], total };
    },
    async pixel(layer, { y, x }) {
      const values = await array(`v${layer.inputs[0]}`);
      const shape = shapes[layer.inputs[0]];
      const count = Math.min(TERMS * 2, shape[2]);
      const numbers = Array.from({ length: count }, (_, k) => at(values, shape, y, x, k));
      return { parts: [make("h3", say("before")), make("p", numbers.map(short).join("  ") + (count < shape[2] ? "  …" : ""), "sum")] };
    },
  };

  // Choosing a unit

  function mark(parts) {
    const [height, width] = data.input;
    const mask = new Uint8Array(height * width);
    for (const { rows, columns } of parts) for (const y of rows) for (const x of columns) mask[y * width + x] = 1;
    pixels(byId("field"), height, width, (i) => [0, 0, 0, mask[i] ? 0 : 150]);
    const rows = parts.flatMap((part) => [...part.rows]);
    const columns = parts.flatMap((part) => [...part.columns]);
    const frame = byId("frame");
    const patch = byId("patch");
    const none = !rows.length || !columns.length;
    frame.hidden = none;
    patch.hidden = none;
    if (none) return null;
    const [top, bottom] = [Math.min(...rows), Math.max(...rows) + 1];
    const [left, right] = [Math.min(...columns), Math.max(...columns) + 1];
    place(frame, left / width, top / height, (right - left) / width, (bottom - top) / height);
    patch.width = right - left;
    patch.height = bottom - top;
    patch.getContext("2d").drawImage(byId("image"), left, top, right - left, bottom - top, 0, 0, right - left, bottom - top);
    return { top, left, bottom: bottom - 1, right: right - 1 };
  }

  function place(element, left, top, width, height) {
    Object.assign(element.style, { left: `${100 * left}%`, top: `${100 * top}%`, width: `${100 * width}%`, height: `${100 * height}%` });
  }

  function buttonOf({ place: number, channel }) {
    return document.querySelector(`.map[data-place="${number}"][data-channel="${channel}"]`);
  }

  async function choose(next) {
    document.querySelectorAll('.map[aria-pressed="true"]').forEach((button) => {
      button.setAttribute("aria-pressed", "false");
      button.querySelector(".dot").hidden = true;
    });
    unit = next;
    const layer = layers[unit.place - 1];
    const [height, width, channels] = layer.shape;
    const button = buttonOf(unit);
    const dot = button.querySelector(".dot");
    button.setAttribute("aria-pressed", "true");
    dot.hidden = false;
    place(dot, unit.x / width, unit.y / height, 1 / width, 1 / height);
    byId("unit").classList.add("chosen");
    byId("shut").hidden = false;
    byId("zoom").disabled = false;
    const box = mark(seen(unit));
    const values = await array(`v${unit.place}`);
    const value = values[(unit.y * width + unit.x) * channels + unit.channel];
    const { parts, total } = await KINDS[layer.kind](layer, unit);
    if (unit !== next) return; // another was chosen meanwhile
    const said = byId("said");
    const name = make("p");
    const text = say("unit", { y: unit.y, x: unit.x, c: unit.channel, value: short(value) });
    name.append(make("strong", `${layer.row} ${layer.word}: ${text}`));
    const sees = box ? say("sees", { rows: box.bottom - box.top + 1, columns: box.right - box.left + 1, ...box }) : say("nothing");
    said.replaceChildren(name, make("p", sees));
    if (layer.statistics) said.append(make("p", say("statistics"), "note"));
    Object.assign(said.dataset, { value, total: total ?? "", ...box });
    byId("numbers").replaceChildren(...parts);
    byId("numbers").setAttribute("aria-label", `${layer.row} ${layer.word}`);
    showLarge(text);
  }

  function moved(key) {
    const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[key];
    if (!by || !unit) return false;
    const [height, width] = layers[unit.place - 1].shape;
    const clamp = (value, size) => Math.max(0, Math.min(size - 1, value));
    choose({ ...unit, y: clamp(unit.y + by[0], height), x: clamp(unit.x + by[1], width) });
    return true;
  }

  function under(event, canvas, [height, width]) {
    const box = canvas.getBoundingClientRect();
    const find = (share, size) => Math.max(0, Math.min(size - 1, Math.floor(share * size)));
    return { y: find((event.clientY - box.top) / box.height, height), x: find((event.clientX - box.left) / box.width, width) };
  }

  // Zoom

  const dialog = byId("large");
  let scale = 8;

  function openLarge() {
    const [height, width] = layers[unit.place - 1].shape;
    scale = Math.max(1, Math.min(32, Math.floor(Math.min(innerWidth * 0.85 / width, innerHeight * 0.6 / height))));
    if (!dialog.open) dialog.showModal();
    byId("stage").focus();
    const [text] = byId("said").querySelectorAll("strong");
    showLarge(text ? text.textContent : "");
  }

  async function showLarge(text) {
    if (!dialog.open) return;
    const layer = layers[unit.place - 1];
    const [height, width] = layer.shape;
    const canvas = byId("big");
    byId("large-title").textContent = `${layer.row} ${layer.word}, ${say("map", { index: unit.channel })}`;
    byId("large-said").textContent = text;
    await paintMap(canvas, unit.place, unit.channel);
    canvas.style.width = `${width * scale}px`;
    canvas.style.height = `${height * scale}px`;
    dialog.dataset.scale = scale;
    place(byId("cursor"), unit.x / width, unit.y / height, 1 / width, 1 / height);
  }

  function zoomBy(factor) {
    scale = Math.max(1, Math.min(64, Math.round(scale * factor) || 1));
    showLarge(byId("large-said").textContent);
  }

  byId("zoom").addEventListener("click", openLarge);
  byId("larger").addEventListener("click", () => zoomBy(2));
  byId("smaller").addEventListener("click", () => zoomBy(0.5));
  byId("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => unit && buttonOf(unit).focus());
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "+" || event.key === "=") zoomBy(2);
    else if (event.key === "-") zoomBy(0.5);
    else if (!moved(event.key)) return;
    event.preventDefault();
  });
  byId("big").addEventListener("click", (event) => choose({ ...unit, ...under(event, byId("big"), layers[unit.place - 1].shape) }));

  byId("shut").addEventListener("click", () => {
    byId("unit").classList.remove("chosen");
    byId("shut").hidden = true;
  });

  // The maps

  function mapButton(layer, channel) {
    const button = make("button", undefined, "map");
    button.type = "button";
    Object.assign(button.dataset, { place: layer.place, channel });
    button.setAttribute("aria-pressed", "false");
    const image = make("span", undefined, "image");
    const canvas = make("canvas");
    const dot = make("span", undefined, "dot");
    [canvas.height, canvas.width] = layer.shape;
    dot.hidden = true;
    image.append(canvas, dot);
    const name = say("map", { index: channel });
    button.append(image, make("span", name, "name"), " ", make("span", "", "range"));
    button.addEventListener("click", (event) => {
      const middleOf = { y: Math.floor(layer.shape[0] / 2), x: Math.floor(layer.shape[1] / 2) };
      const pointed = event.detail > 0 ? under(event, canvas, layer.shape) : middleOf;
      choose({ place: layer.place, channel, ...pointed });
    });
    button.addEventListener("dblclick", openLarge);
    button.addEventListener("keydown", (event) => {
      const own = unit && unit.place === layer.place && unit.channel === channel;
      if (own && (event.key === "+" || event.key === "z")) openLarge();
      else if (!own || !moved(event.key)) return;
      event.preventDefault();
    });
    return button;
  }

  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      watcher.unobserve(entry.target);
      fillMap(entry.target);
    }
  }, { rootMargin: "400px" });

  async function fillMap(button) {
    const layer = layers[button.dataset.place - 1];
    const channel = Number(button.dataset.channel);
    await paintMap(button.querySelector("canvas"), layer.place, channel);
    const [low, high] = extent(await array(`v${layer.place}`), channel, layer.shape[2]);
    button.querySelector(".range").textContent = low === high ? brief(low) : say("range", { low: brief(low), high: brief(high) });
    button.dataset.drawn = "yes";
  }

  async function start() {
    await paintImage();
    for (const layer of layers) {
      const section = document.querySelector(`section[data-place="${layer.place}"]`);
      const room = section.querySelector(".maps");
      for (const channel of layer.channels) {
        const button = mapButton(layer, channel);
        room.append(button);
        watcher.observe(button);
      }
      await paintFilters(section, layer);
    }
    document.documentElement.dataset.ready = "yes";
  }

  start();
})();

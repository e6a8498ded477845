// The parts of the style picker that Jupyter's widgets lack; `kind` says which one a model is (29_picker).

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value)
    else if (value === true) element.setAttribute(name, "")
    else if (value !== false && value != null) element.setAttribute(name, value)
  }
  element.append(...children)
  return element
}

function button(label, onclick, attributes = {}) {
  return make("button", { type: "button", class: "pn-button", onclick, ...attributes }, label)
}

function show(image, bytes) { // a JPEG; without bytes the image is hidden
  if (image.src) URL.revokeObjectURL(image.src)
  image.hidden = !bytes || !bytes.byteLength
  if (image.hidden) image.removeAttribute("src")
  else image.src = URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" }))
}

function follow(model, names, update) { // call `update` now and whenever one of the traits changes
  for (const name of names) model.on(`change:${name}`, update)
  update()
}

const icons = {
  like: "M12 20.5 4.2 12.6a4.9 4.9 0 0 1 0-6.9 4.8 4.8 0 0 1 6.8 0l1 1 1-1a4.8 4.8 0 0 1 6.8 0 4.9 4.9 0 0 1 0 6.9z",
  dislike: "M6 4.6 4.6 6l6 6-6 6L6 19.4l6-6 6 6 1.4-1.4-6-6 6-6L18 4.6l-6 6z",
}

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg")
  svg.setAttribute("viewBox", "0 0 24 24"); svg.setAttribute("aria-hidden", "true")
  svg.append(document.createElementNS("http://www.w3.org/2000/svg", "path"))
  svg.firstChild.setAttribute("d", icons[name])
  return svg
}

// ---- the sections of the page

function tabs(model, el) {
  const nav = make("nav", { class: "pn-tabs", "aria-label": "Sections" })
  for (const name of model.get("names")) {
    nav.append(button(name, () => { model.set("selected", name); model.save_changes() }, { "data-name": name }))
  }
  follow(model, ["selected"], () => {
    for (const tab of nav.children) {
      const here = tab.dataset.name === model.get("selected")
      if (here) tab.setAttribute("aria-current", "true"); else tab.removeAttribute("aria-current")
    }
  })
  el.append(nav)
}

// ---- the wall: like, dislike, neither

const marks = { 1: "liked", "-1": "disliked", 0: "no mark" }

function wall(model, el) {
  const list = make("div", { class: "pn-wall", role: "group", "aria-label": "Pictures to choose from" })
  const said = () => model.get("marks")
  function mark(tile, value) {
    const label = model.get("labels")[tile.i]
    tile.dataset.mark = value
    tile.setAttribute("aria-pressed", value !== 0)
    tile.setAttribute("aria-label", `Picture ${tile.i + 1}, ${label}: ${marks[value]}`)
    tile.lastChild.replaceChildren(...value === 1 ? [icon("like")] : value === -1 ? [icon("dislike")] : [])
  }
  function click(tile) {
    const value = { 0: 1, 1: -1, "-1": 0 }[tile.dataset.mark]
    mark(tile, value) // at once; the model agrees a moment later
    model.send({ tile: tile.i, mark: value })
  }
  function add(i) {
    const image = make("img", { alt: "", draggable: "false" })
    const tile = make("button", { type: "button", class: "pn-tile", onclick: () => click(tile), onkeydown: move },
      image, make("span", { class: "pn-mark" }))
    image.addEventListener("load", () => {
      tile.style.setProperty("--shape", image.naturalWidth / image.naturalHeight)
    })
    tile.i = i
    show(image, model.get("pictures")[i])
    list.insertBefore(tile, list.querySelector(".pn-rest"))
    mark(tile, said()[i] ?? 0)
    tile.tabIndex = i ? -1 : 0
  }
  function move(event) { // one stop for Tab; the arrows walk over the wall
    const all = [...list.querySelectorAll(".pn-tile")], here = event.currentTarget, box = here.getBoundingClientRect()
    const middle = tile => { const b = tile.getBoundingClientRect(); return [b.x + b.width / 2, b.y] }
    const away = tile => Math.abs(middle(tile)[0] - box.x - box.width / 2)
    const row = (sign) => {
      const rows = all.map(middle).map(m => m[1]).filter(y => sign * (y - box.y) > 4)
      const y = sign > 0 ? Math.min(...rows) : Math.max(...rows)
      return all.filter(tile => Math.abs(middle(tile)[1] - y) < 4).sort((a, b) => away(a) - away(b))[0]
    }
    const to = { ArrowRight: () => all[here.i + 1], ArrowLeft: () => all[here.i - 1], Home: () => all[0],
                 End: () => all.at(-1), ArrowDown: () => row(1), ArrowUp: () => row(-1) }[event.key]
    if (!to) return
    event.preventDefault()
    const next = to()
    if (!next) return
    for (const tile of all) tile.tabIndex = tile === next ? 0 : -1
    next.focus()
  }
  model.on("change:serial", () => list.replaceChildren(make("i", { class: "pn-rest" })))
  list.append(make("i", { class: "pn-rest" }))
  follow(model, ["pictures", "serial"], () => {
    const n = list.querySelectorAll(".pn-tile").length
    for (let i = n; i < model.get("pictures").length; i++) add(i)
  })
  follow(model, ["marks"], () => {
    for (const tile of list.querySelectorAll(".pn-tile")) mark(tile, said()[tile.i] ?? 0)
  })
  el.append(list)
}

// ---- before and after under a divider, and at 100 %

function compare(model, el) {
  const images = ["before", "after"].map(name => make("img", { class: `pn-${name}`, draggable: "false" }))
  const handle = make("div", { class: "pn-handle", role: "slider", tabindex: "0", "aria-valuemin": 0,
    "aria-valuemax": 100, "aria-label": "Divider between before and after" })
  const chips = ["Before", "After"].map((text, i) => make("span", { class: `pn-chip pn-chip-${i}`, "aria-hidden": "true" }, text))
  const frame = make("div", { class: "pn-frame" }, ...images, ...chips, handle, make("div", { class: "pn-spinner" }))
  const previous = button("‹", () => model.send({ step: -1 }), { "aria-label": "Previous photo" })
  const next = button("›", () => model.send({ step: 1 }), { "aria-label": "Next photo" })
  const title = make("span", { class: "pn-title" })
  const undo = button("Undo", () => model.send({ undo: true }))
  const zoom = button("100 %", () => zoomTo([0.5, 0.5], !model.get("zoomed")), { "aria-label": "Zoom to 100 %" })
  el.append(make("div", { class: "pn-compare" }, frame,
    make("div", { class: "pn-bar" }, previous, next, title, undo, zoom)))

  let divider = 50, pan = null
  function divide(value) {
    divider = Math.min(100, Math.max(0, value))
    frame.style.setProperty("--divider", `${divider}%`)
    handle.setAttribute("aria-valuenow", Math.round(divider))
    handle.setAttribute("aria-valuetext", `${Math.round(divider)} % before`)
  }
  const ratio = () => window.devicePixelRatio || 1
  function zoomTo(centre, zoomed) {
    model.set({ zoomed, centre }) // the frame has its new shape now
    const box = frame.getBoundingClientRect()
    model.set({ room: [Math.round(box.width * ratio()), Math.round(box.height * ratio())] })
    model.save_changes()
  }
  function share(event) {
    const box = frame.getBoundingClientRect()
    return [(event.clientX - box.x) / box.width, (event.clientY - box.y) / box.height]
  }
  function shift(x, y) { // in pixels of the screen
    const full = model.get("full"), centre = model.get("centre")
    zoomTo([centre[0] - x * ratio() / full[0], centre[1] - y * ratio() / full[1]], true)
  }
  frame.addEventListener("pointerdown", event => {
    event.preventDefault()
    frame.setPointerCapture(event.pointerId)
    pan = { x: event.clientX, y: event.clientY, moves: model.get("zoomed") && !handle.contains(event.target) }
    if (!pan.moves) divide(100 * share(event)[0])
  })
  frame.addEventListener("pointermove", event => {
    if (!pan) return
    if (!pan.moves) return divide(100 * share(event)[0])
    frame.style.setProperty("--shift", `${event.clientX - pan.x}px ${event.clientY - pan.y}px`)
  })
  frame.addEventListener("pointerup", event => {
    if (pan && pan.moves) shift(event.clientX - pan.x, event.clientY - pan.y)
    else handle.focus({ preventScroll: true })
    pan = null
  })
  frame.addEventListener("dblclick", event => zoomTo(share(event), !model.get("zoomed")))
  handle.addEventListener("keydown", event => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key]
    const jump = { Home: 0, End: 100, PageDown: divider - 10, PageUp: divider + 10 }[event.key]
    if (way === undefined && jump === undefined) return
    event.preventDefault()
    if (jump !== undefined) divide(jump)
    else if (event.shiftKey && model.get("zoomed")) shift(-way[0] * 80, -way[1] * 80)
    else divide(divider + 2 * (way[0] - way[1]))
  })
  divide(50)
  follow(model, ["before"], () => show(images[0], model.get("before")))
  follow(model, ["after"], () => { show(images[1], model.get("after")); frame.style.removeProperty("--shift") })
  follow(model, ["shape", "zoomed", "name"], () => {
    const [width, height] = model.get("shape")
    frame.style.setProperty("--shape", model.get("zoomed") ? 1.5 : width / height)
    frame.classList.toggle("pn-zoomed", model.get("zoomed"))
    zoom.setAttribute("aria-pressed", model.get("zoomed"))
    for (const image of images) image.style.zoom = model.get("zoomed") ? 1 / ratio() : ""
    images[0].alt = `${model.get("name")} before`; images[1].alt = `${model.get("name")} after`
    title.textContent = model.get("title"); title.title = model.get("name")
  })
  follow(model, ["title", "first", "last", "can_undo"], () => {
    title.textContent = model.get("title")
    previous.disabled = model.get("first"); next.disabled = model.get("last"); undo.disabled = !model.get("can_undo")
  })
  follow(model, ["busy"], () => frame.classList.toggle("pn-busy", model.get("busy")))
}

// ---- which of the two?

function pair(model, el) {
  const sides = [1, 0].map((said, i) => {
    const image = make("img", { alt: "", draggable: "false" })
    return button(image, () => model.send({ said }), { class: "pn-side", "aria-label": `Picture ${"AB"[i]} is better` })
  })
  const equal = button("No difference", () => model.send({ said: 0.5 }))
  const box = make("div", { class: "pn-pair", role: "group", "aria-label": "Which of the two is better?" },
    ...sides, equal)
  follow(model, ["pictures"], () => {
    const pictures = model.get("pictures")
    sides.forEach((side, i) => { if (pictures.length) show(side.firstChild, pictures[i]) })
    for (const one of [...sides, equal]) one.disabled = !pictures.length
  })
  box.addEventListener("keydown", event => {
    const side = { ArrowLeft: 0, ArrowRight: 1 }[event.key]
    if (side !== undefined) { event.preventDefault(); sides[side].focus() }
  })
  el.append(box)
}

// ---- a slider with a name and a value

function slider(model, el) {
  const id = `pn-${Math.random().toString(36).slice(2)}`
  const input = make("input", { type: "range", id, min: 0, max: model.get("max"), step: 0.01 })
  const value = make("output", { for: id })
  input.addEventListener("input", () => { model.set("value", Number(input.value)); model.save_changes() })
  follow(model, ["value"], () => {
    if (Number(input.value) !== model.get("value")) input.value = model.get("value")
    value.textContent = `${Math.round(100 * model.get("value"))} %`
    input.setAttribute("aria-valuetext", value.textContent)
    input.style.setProperty("--share", model.get("value") / model.get("max"))
  })
  el.append(make("div", { class: "pn-slider" }, make("label", { for: id }, model.get("label")), input, value))
}

// ---- the map of styles

function map(model, el) {
  const cross = make("button", { type: "button", class: "pn-cross" })
  const area = make("div", { class: "pn-map", role: "group", "aria-label": "Map of styles" }, cross)
  const go = (x, y) => model.send({ spot: [Math.min(1, Math.max(0, x)), Math.min(1, Math.max(0, y))] })
  area.addEventListener("click", event => {
    if (event.target !== area) return
    const box = area.getBoundingClientRect()
    go((event.clientX - box.x) / box.width, (event.clientY - box.y) / box.height)
  })
  cross.addEventListener("keydown", event => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key]
    if (!way) return
    event.preventDefault()
    const [x, y] = model.get("spot")
    go(x + 0.04 * way[0], y + 0.04 * way[1])
  })
  const place = (element, [x, y]) => { element.style.left = `${100 * x}%`; element.style.top = `${100 * y}%` }
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top + 4 < b.bottom && b.top + 4 < a.bottom
  function arrange() { // each label on the first side where it meets nothing
    const taken = [...area.querySelectorAll(".pn-dot")].map(dot => dot.getBoundingClientRect())
    const frame = area.getBoundingClientRect()
    for (const dot of area.querySelectorAll(".pn-dot")) {
      const own = dot.getBoundingClientRect()
      for (const side of ["right", "left", "above", "below"]) {
        dot.dataset.side = side
        const label = dot.firstChild.getBoundingClientRect()
        const out = label.left < frame.left || label.right > frame.right || label.top < frame.top || label.bottom > frame.bottom
        if (!out && !taken.some(other => other.left !== own.left && meet(label, other))) break
      }
      taken.push(dot.firstChild.getBoundingClientRect())
    }
  }
  new ResizeObserver(arrange).observe(area)
  follow(model, ["dots"], () => {
    for (const dot of area.querySelectorAll(".pn-dot")) dot.remove()
    for (const [name, x, y] of model.get("dots")) {
      const dot = button(make("span", {}, name), () => go(x, y), { class: "pn-dot" })
      place(dot, [x, y]); area.append(dot)
    }
  })
  follow(model, ["yours"], () => {
    area.querySelector(".pn-yours")?.remove()
    if (!model.get("yours").length) return
    const mine = button(make("span", {}, "your style"), () => model.send({ yours: true }), { class: "pn-dot pn-yours" })
    place(mine, model.get("yours")); area.append(mine); arrange()
  })
  follow(model, ["spot", "active"], () => {
    place(cross, model.get("spot")); cross.classList.toggle("pn-active", model.get("active"))
    const [x, y] = model.get("spot").map(v => Math.round(100 * v))
    cross.setAttribute("aria-label", `Spot ${x} % from the left, ${y} % from the top; move it with the arrow keys`)
  })
  el.append(area)
}

// ---- uploads, piece by piece: no message is large, and the other side can say no

const PIECE = 1 << 19

function upload(model, el) {
  const input = make("input", { type: "file", multiple: true, accept: model.get("accept"), hidden: true })
  const choose = button("Upload photos", () => input.click())
  const told = make("span", { class: "pn-note" })
  let answer = () => {}
  model.on("msg:custom", message => answer(message))
  const ask = (message, buffers) => new Promise(done => { answer = done; model.send(message, undefined, buffers) })
  async function send(files) {
    choose.disabled = true
    for (const [i, file] of files.entries()) {
      told.textContent = `Uploading ${i + 1} of ${files.length}`
      let reply = await ask({ begin: file.name })
      for (let at = 0; reply.ok && at < file.size; at += PIECE) {
        reply = await ask({ add: true }, [await file.slice(at, at + PIECE).arrayBuffer()])
      }
      if (reply.ok) await ask({ end: true })
    }
    await ask({ done: true })
    told.textContent = ""; choose.disabled = false; input.value = ""
  }
  input.addEventListener("change", () => send([...input.files]))
  const box = make("div", { class: "pn-upload" }, choose, input, told)
  box.addEventListener("dragover", event => event.preventDefault())
  box.addEventListener("drop", event => { event.preventDefault(); send([...event.dataTransfer.files]) })
  el.append(box)
}

// ---- what is going on, and a text to copy

function status(model, el) {
  const text = make("span")
  const box = make("div", { class: "pn-status", role: "status" }, make("i", { class: "pn-dots" }), text)
  follow(model, ["text", "busy"], () => {
    box.classList.toggle("pn-busy", Boolean(model.get("busy")))
    text.textContent = model.get("busy") ? `${model.get("busy")} …` : model.get("text")
  })
  el.append(box)
}

function copy(model, el) {
  const text = make("code", { tabindex: "0", "aria-label": "Command" })
  const copyIt = button("Copy", async () => {
    await navigator.clipboard.writeText(model.get("text"))
    copyIt.textContent = "Copied"
    setTimeout(() => { copyIt.textContent = "Copy" }, 1500)
  })
  follow(model, ["text", "ready"], () => {
    text.textContent = model.get("text"); copyIt.disabled = !model.get("ready")
    text.classList.toggle("pn-none", !model.get("ready"))
  })
  el.append(make("div", { class: "pn-copy" }, text, copyIt))
}

const kinds = { tabs, wall, compare, pair, slider, map, upload, status, copy }

export default { render({ model, el }) { el.classList.add("pn"); kinds[model.get("kind")](model, el) } }

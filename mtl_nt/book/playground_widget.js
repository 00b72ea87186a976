// The playground as a widget: the page and Python share its settings, and Python hears its sentence.
//
// playground_widget.py puts playground.js before this file, as `mount`.
function render({ model, el }) {
  const box = document.createElement("div");
  let told = JSON.stringify(model.get("settings"));
  const tell = (settings, summary) => {
    told = JSON.stringify(settings);
    model.set({ settings, _told: { settings, summary } });
    model.save_changes();
  };
  box.className = "mtl-playground";
  el.append(box);
  const take = mount(box, model.get("settings"), tell);
  const listen = () => {
    const settings = model.get("settings");
    if (JSON.stringify(settings) !== told) take(settings);
  };
  model.on("change:settings", listen);
  return () => model.off("change:settings", listen);
}

export default { render };

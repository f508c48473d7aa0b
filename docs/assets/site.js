// What scrolls sideways can be reached by the keyboard, on a screen without a pointer too; search and sections have a name;
// the buttons of a block of code are no landmark, for a page has many and they lead nowhere.
new MutationObserver(() => {
  for (const buttons of document.querySelectorAll("nav.md-code__nav:not([role])")) buttons.setAttribute("role", "none");
}).observe(document.documentElement, { childList: true, subtree: true });
document$.subscribe(() => {
  document.querySelector("[data-md-component=search]")?.setAttribute("aria-label", "Search");
  for (const section of document.querySelectorAll("nav.md-nav[aria-labelledby]")) {
    const label = document.getElementById(section.getAttribute("aria-labelledby"));
    const title = section.querySelector(":scope > .md-nav__title")?.textContent.trim();
    if (label?.textContent.trim() || !title) continue;
    section.removeAttribute("aria-labelledby");
    section.setAttribute("aria-label", title);
  }
  for (const part of document.querySelectorAll(".md-nav--secondary nav.md-nav")) {
    part.setAttribute("role", "none"); // a part of the table of contents, which is the landmark
    part.removeAttribute("aria-label");
  }
  for (const region of document.querySelectorAll("pre > code, .md-typeset__scrollwrap")) {
    const reach = () => {
      if (region.scrollWidth > region.clientWidth && region.tabIndex !== 0) region.tabIndex = 0;
    };
    new MutationObserver(reach).observe(region, { attributes: true, attributeFilter: ["tabindex"] });
    new ResizeObserver(reach).observe(region);
  }
});

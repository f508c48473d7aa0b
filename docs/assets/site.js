// What scrolls sideways can be reached by the keyboard, on a screen without a pointer too; the search has a name.
document$.subscribe(() => {
  document.querySelector("[data-md-component=search]")?.setAttribute("aria-label", "Search");
  for (const region of document.querySelectorAll("pre > code, .md-typeset__scrollwrap")) {
    const reach = () => {
      if (region.scrollWidth > region.clientWidth && region.tabIndex !== 0) region.tabIndex = 0;
    };
    new MutationObserver(reach).observe(region, { attributes: true, attributeFilter: ["tabindex"] });
    new ResizeObserver(reach).observe(region);
  }
});

// Light or dark, set before the first paint; a plain script in the head, so that nothing flashes.

{
  const media = matchMedia('(prefers-color-scheme: light)');
  const apply = () => {
    const chosen = localStorage.getItem('theme');
    document.documentElement.dataset.theme = chosen ?? (media.matches ? 'light' : 'dark');
  };
  apply();
  media.addEventListener('change', apply);
}

// Light or dark, set before the first paint; a plain script in the head, so that nothing flashes.

{
  const media = matchMedia('(prefers-color-scheme: light)');
  const apply = () => {
    const theme = localStorage.getItem('theme') ?? (media.matches ? 'light' : 'dark');
    document.documentElement.dataset.theme = theme;
    const bar = document.querySelector('meta[name=theme-color]');
    bar.content = theme === 'light' ? '#ffffff' : '#12151b';
  };
  apply();
  addEventListener('themechange', apply);
  media.addEventListener('change', apply);
}

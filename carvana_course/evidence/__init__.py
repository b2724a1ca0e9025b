"""What is known and how: experiments on real photographs, their results, and the document's eight claims."""
